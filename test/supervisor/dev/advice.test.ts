import t from 'tap';
import { parseFault } from '../../../supervisor/dev/faults/faults.ts';
import { checkFixture } from '../../../supervisor/dev/fixture/read-fixture.ts';
import { openWorkshop } from '../../../supervisor/dev/harness/workshop.ts';
import { openTestHarness, pluginFolder } from '../../support/plugin-folder.ts';

const workshop = await openWorkshop();
const code = `{ services: { tool: {
    say: (word) => word,
    put: (value, { host }) => host.kv.put({ key: 'a', value }),
    read: (_, { host }) => host.kv.get({ bucket: 'places', key: 'a' }),
    fetch: (url, { host }) => host.http.fetch({ url }),
    tell: (channel, { host }) => host.notify.send({ channel, title: 'a', text: 'b' }),
    die: () => process.exit(3),
    file: () => process.getBuiltinModule('node:fs').readFileSync('/etc/hostname', 'utf8'),
    web: () => fetch('https://api.example.com/'),
    boom: () => { throw new Error('kaboom'); },
} } }`;

const rows: [method: string, payload: unknown, code: string, hint: string | RegExp][] = [
  ['put', 'x', 'capability-denied', 'add "kv:write" to plugin.json at /capabilities/-'],
  ['read', null, 'capability-denied', 'add { "read_buckets": ["places"] } to plugin.json at /kv'],
  ['fetch', 'https://api.example.com/', 'egress-blocked', 'add ["api.example.com:443"] to plugin.json at /egress'],
  ['tell', 'ops', 'not-found', /^add "ops" to "channels" in the fixture/],
  ['file', null, 'internal', /^there are no files of the host in the cage: use host\.kv/],
  ['web', null, 'internal', /^there is no network in the cage: use host\.http\.fetch/],
  ['boom', null, 'internal', /^the plugin threw it; where, is in the log above/],
  ['die', null, 'plugin-crashed', /lattice dev, r starts it again/],
];
for (const [method, payload, word, hint] of rows)
  t.test(`given a call of ${method} that fails, when it is told, then the hint is one for the plugin’s author`, async (t) => {
    const folder = pluginFolder(t, { code, manifest: { capabilities: ['kv:read', 'http:egress', 'notify:send'] } });
    const fixture = checkFixture({ channels: [] });
    const { harness, events } = await openTestHarness(t, workshop, { folder, fixture });
    await harness.start();

    await t.rejects(harness.call('tool', method, payload), { code: word, details: { hint } });

    t.match(
      events.findLast(({ kind }) => kind === 'answer'),
      { outcome: { error: { code: word, details: { hint } } } },
    );
    t.notMatch(JSON.stringify(events.filter(({ kind }) => kind !== 'message')), /lattice plugins|have the operator consent|LATTICE_/);
  });

t.test('given an error of the plugin’s own, when it is told to its author, then with its text', async (t) => {
  const { harness } = await openTestHarness(t, workshop, { folder: pluginFolder(t, { code }) });
  await harness.start();
  await t.rejects(harness.call('tool', 'boom'), { code: 'internal', message: 'kaboom' });
});

t.test('given declared payloads, when a call does not keep to them, then it is refused here, and an odd result is noted', async (t) => {
  const methods = [{ name: 'say', effect: 'read', scopes: [], params: { type: ['string', 'null'] }, result: { type: 'string' } }];
  const folder = pluginFolder(t, { code, manifest: { services: [{ name: 'tool', methods }] } });
  const { harness, of } = await openTestHarness(t, workshop, { folder, messages: true });
  await harness.start();

  await t.rejects(harness.call('tool', 'say', 7), { code: 'invalid-params', details: { pointer: '', keyword: 'type' } });
  t.notOk(
    of('message').some(({ message }) => Object(message).method === 'invoke'),
    'nothing was sent',
  );
  t.equal(await harness.call('tool', 'say', 'x'), 'x');
  t.same(
    of('note').filter(({ text }) => text.includes('result')),
    [],
  );
  t.equal(await harness.call('tool', 'say', null), null);
  t.match(of('note').at(-1), { level: 'warn', text: 'the result of tool.say is not what plugin.json declares: it must be a string' });
});

for (const [step, hint] of [
  ['nope', /^name initialize/],
  ['tool.pot', 'did you mean tool.put?'],
  ['kv.gte.answer', 'did you mean kv.get.answer?'],
] as const)
  t.test(`given a fault at ${step}, when the plugin is to run with it, then it is refused, because nothing would come of it`, async (t) => {
    const folder = pluginFolder(t, { code });
    const refused = { code: 'invalid-params', details: { rule: 'fault', hint } };
    const { harness } = await openTestHarness(t, workshop, { folder, faults: [parseFault(`drop@${step}`)] });
    await t.rejects(harness.start(), refused);

    const { harness: other } = await openTestHarness(t, workshop, { folder, faults: [parseFault('delay:1@tool.put.answer')] });
    await other.start();
    t.throws(() => other.inject(`drop@${step}`), refused);
  });
