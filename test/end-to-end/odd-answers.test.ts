import t from 'tap';
import { eventually } from '../support/eventually.ts';
import { readChild } from '../support/sign-bundle.ts';
import { createHome, startService } from '../support/start-service.ts';

const home = createHome(t);
const id = 'test.odd';
const method = (name: string, timeout = 30_000) => ({ name, effect: 'read', scopes: ['plugin:call'], timeout_ms: timeout });
const names = ['nothing', 'text', 'late', 'huge', 'bigint', 'cycle', 'fn', 'nan', 'throwNull', 'throwWord', 'throwForeign', 'throwHuge'];
const methods = [...names, 'throwTrap', 'print', 'forget', 'vague'].map((name) => method(name));
home.place({ id, source: readChild('odd-answers.js'), more: { services: [{ name: 'odd', methods: [...methods, method('never', 50)] }] } });
const service = await startService(home);
const { call, setStatus, runtime } = service;
await setStatus(id, 'installed');
await setStatus(id, 'active');
const { pid } = await runtime(id);

const answers: Record<string, unknown> = {
  nothing: { status: 200, body: null },
  text: { status: 200, body: 'a \u2028 line\u0000 \ud83d\ude00' },
  late: { status: 200, body: 'late' },
  huge: { status: 413, body: { code: 'payload-too-large' } },
  bigint: { status: 500, body: { code: 'internal' } },
  cycle: {
    status: 500,
    body: { code: 'internal', detail: /^odd\.cycle of \S+: the result is not JSON$/, hint: /nothing that holds itself/ },
  },
  fn: { status: 500, body: { code: 'internal' } },
  nan: { status: 200, body: { n: null } },
  throwNull: { status: 500, body: { code: 'internal' } },
  throwWord: { status: 404, body: { code: 'not-found', detail: 'not your colour' } },
  throwForeign: {
    status: 500,
    body: { code: 'internal', rule: 'plugin-fault', detail: /^odd.throwForeign of \S+ threw an error$/, hint: /plugins logs/ },
  },
  throwTrap: { status: 500, body: { code: 'internal' } },
  never: { status: 504, body: { code: 'deadline-exceeded', detail: 'odd.never did not answer within its timeout_ms (50)', hint: /./ } },
};

t.test('given a plugin that prints, when its log is read, then all is there and nothing reached the protocol', async (t) => {
  t.match(await call(id, 'odd', 'print'), { status: 200, body: 'printed' });

  await eventually(async () => (await service.logText(id)).includes('by stdout'));
  t.ok((await service.logText(id)).includes('by console'));
  t.match(await service.why(id), { counters: { stray_lines: 0 } });
});

for (const [name, expected] of Object.entries(answers))
  t.test(`given a plugin that answers oddly, when ${name} is called, then the answer is of this API and the plugin runs on`, async (t) => {
    t.match(await call(id, 'odd', name), expected);

    t.match(await runtime(id), { state: 'armed', pid });
  });

t.test(
  'given progress that is no JSON, when it is told to a caller who listens, then it is null, and nothing is a fault of ours',
  async (t) => {
    const answer = await fetch(`${service.url}/api/plugins/${id}/call`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${home.token()}`, 'Content-Type': 'application/json', Accept: 'text/event-stream' },
      body: JSON.stringify({ service: 'odd', method: 'vague' }),
    });
    const events = [...(await answer.text()).matchAll(/^event:(.*)\nid:.*\ndata:(.*)$/gm)].map(([, event, data]) => `${event} ${data}`);

    t.same(events, ['progress null', 'progress null', 'progress {"half":true}', 'result null']);
    t.notMatch(service.output(), /"event":"fault"/);
    t.match(await runtime(id), { state: 'armed', pid });
  },
);

t.test('given names that every object has, when they are called, then there is no such method', async (t) => {
  for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
    t.match(await call(id, 'odd', name), { status: 404, body: { code: 'method-not-found' } }, `odd.${name}`);
    t.match(await call(id, name, 'call'), { status: 404, body: { code: 'method-not-found' } }, `${name}.call`);
  }
});

t.test('given a rejection that nobody caught, when the plugin ends by it, then why shows it and the plugin comes back', async (t) => {
  const mark = service.count();
  await call(id, 'odd', 'forget');

  await service.entered(id, 'backoff', mark);
  await service.entered(id, 'ready', mark);
  const [exit] = (await service.why(id)).exits;
  t.match(exit, { cause: 'exit-code', code: 1 });
  t.match(exit?.stderr_tail.join('\n'), /nobody caught this/);
});

t.test('given an error of three megabytes, when it is thrown, then the caller and the log get what fits', async (t) => {
  const answer = await call(id, 'odd', 'throwHuge');

  t.match(answer, { status: 500, body: { code: 'internal' } });
  t.ok(JSON.stringify(answer).length < 16 * 1024);
  t.match(await runtime(id), { state: 'armed' });
});
