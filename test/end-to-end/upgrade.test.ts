import t from 'tap';
import { identifyProcess } from '../../supervisor/sandbox/status.ts';
import { eventually } from '../support/eventually.ts';
import { allGone, findDescendants, isAlive } from '../support/process-tree.ts';
import { createHome, startService } from '../support/start-service.ts';

t.setTimeout(120_000); // four starts of the service on a machine that may be busy
const id = 'test.versions';
/** `say` answers with the word and what it was given; `wait` holds its answer until the operator has stored the key `go`. */
const saying = (word: string, more = '') => `
export default {
  services: {
    tool: {
      say: (payload) => '${word} ' + payload,
      async wait(_payload, { host }) {
        for (;;) {
          if ((await host.kv.get({ key: 'go' })).value !== null) return '${word}';
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      },
    },
  },
  ${more}
};`;
const home = createHome(t);
const place = (version: string, source: string) =>
  home.place({ id, source, capabilities: ['kv:read'], services: { tool: ['say', 'wait'] }, more: { version } });
place('1.0.0', saying('one'));
let service = await startService(home);
await service.setStatus(id, 'installed');
await service.setStatus(id, 'active');

const offer = async (version: string, source: string) => {
  place(version, source);
  await service.api('POST', '/api/plugins/rescan');
};
const upgrade = () => service.api('POST', `/api/plugins/${id}/upgrade`);
const rollback = () => service.api('POST', `/api/plugins/${id}/rollback`);
const say = async (text: string) => (await service.call(id, 'tool', 'say', text)).body as unknown;
const pid = async () => Number((await service.runtime(id)).pid);
const processOf = async () => {
  const found = identifyProcess(await pid());
  if (!found) throw new Error('it has no process');
  return found;
};
const settled = () => eventually(async () => ((await service.show(id)).other_runtimes as unknown[]).length === 0);

t.test('given callers without a pause, when the plugin is upgraded and rolled back, then each call is answered, once', async (t) => {
  await offer('2.0.0', saying('two'));
  const old = await processOf();
  const held = Promise.all([1, 2, 3].map(() => service.call(id, 'tool', 'wait')));
  const answers: string[] = [];
  let calling = true;
  let asked = 0;
  const callers = [1, 2, 3, 4].map(async () => {
    while (calling) {
      const text = String(++asked);
      const { status, body } = await service.call(id, 'tool', 'say', text);
      answers.push(status === 200 ? String(body) : JSON.stringify(body));
    }
  });

  t.match(await upgrade(), {
    status: 200,
    body: { version: '2.0.0', runtime: { state: 'armed' }, other_runtimes: [{ role: 'outgoing' }] },
  });
  t.equal(await say('x'), 'two x');
  t.ok(isAlive(old), 'it still has calls');
  await service.api('PUT', `/api/kv/plugin:${id}/go`, { value: 'now' });
  t.same(
    (await held).map(({ body }) => body),
    ['one', 'one', 'one'],
  );
  await settled();
  t.notOk(isAlive(old));
  const back = await rollback();
  t.match(back, { status: 200, body: { version: '1.0.0' } }, JSON.stringify(back.body));
  calling = false;
  await Promise.all(callers);
  await settled();

  t.same(
    answers.filter((answer) => !/^(?:one|two) \d+$/.test(answer)),
    [],
    'none failed',
  );
  t.equal(new Set(answers.map((answer) => answer.split(' ')[1])).size, asked, 'none was lost or answered twice');
  t.equal(answers.length, asked);
  t.equal(await say('y'), 'one y');
});

t.test('given a new version that ends at load, when it is upgraded to, then the same process goes on serving', async (t) => {
  const old = await pid();
  await offer('2.1.0', 'process.exit(7);');
  t.match(await upgrade(), { status: 503, body: { code: 'unavailable' } });
  t.equal(await pid(), old);
  t.equal(await say('z'), 'one z');
  t.match((await service.show(id)).upgrade, { version: '2.1.0' });
});

t.test('given a version that hangs when it is to end, when another takes its place, then nobody waits, and it is killed', async (t) => {
  await offer('2.2.0', saying('hangs', 'onShutdown() { for (;;); },'));
  t.match(await upgrade(), { status: 200, body: { version: '2.2.0' } });
  await settled();
  const hanging = await processOf();
  await offer('2.3.0', saying('three'));
  t.match(await upgrade(), { status: 200, body: { version: '2.3.0' } });
  t.equal(await say('a'), 'three a');
  await settled();
  t.notOk(isAlive(hanging));
  t.match(
    (await service.why(id)).exits.map(({ cause }) => cause),
    ['stopped'],
  );
});

/** Where in an upgrade the service is killed: the step of the new version's runtime that it has just logged. */
for (const [round, step] of ['starting', 'ready', 'draining'].entries())
  t.test(
    `given an upgrade, when the service is killed as a runtime says ${step}, then exactly one bundle is accepted and runs`,
    async (t) => {
      const [from, to] = [String((await service.show(id)).version), `3.${round}.0`];
      await offer(to, saying(to));
      const mark = service.count();
      const asked = upgrade().catch(() => null);
      const refused = asked.then((answer) => {
        if (answer !== null && answer.status !== 200) throw new Error(`it was not upgraded: ${JSON.stringify(answer)}`);
      });
      const said = service.entered(id, step, mark);
      await Promise.race([said, refused.then(() => said)]);
      const children = findDescendants(service.pid);
      service.signal('SIGKILL');
      await Promise.all([asked, service.exited]);
      await allGone(children);

      service = await startService(home);
      await service.entered(id, 'ready');
      const { version, status, consents, bundle_sha256 } = await service.show(id);
      t.equal(status, 'active');
      t.ok((step === 'draining' ? [to] : [from, to]).includes(String(version)), String(version));
      t.equal(await say('b'), `${version === '2.3.0' ? 'three' : version} b`);
      t.match((consents as { bundle_sha256: string }[])[0], { bundle_sha256, actor: /^t-/ }, 'what runs is what was consented to');
      t.match((await service.api('GET', '/api/audit/verify')).body, { ok: true });
    },
  );
