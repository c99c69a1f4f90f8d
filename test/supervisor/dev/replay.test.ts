import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createRealClock } from '../../../supervisor/clock.ts';
import { checkFixture } from '../../../supervisor/dev/fixture/read-fixture.ts';
import { openWorkshop } from '../../../supervisor/dev/harness/workshop.ts';
import { createRecorder } from '../../../supervisor/dev/replay/record-session.ts';
import { type ReplayReport, replaySession } from '../../../supervisor/dev/replay/replay-session.ts';
import { readSession } from '../../../supervisor/dev/replay/session-file.ts';
import { writeJunit } from '../../../supervisor/dev/replay/write-junit.ts';
import { openTestHarness, pluginFolder } from '../../support/plugin-folder.ts';
import { testFolder } from '../../support/test-folder.ts';

const workshop = await openWorkshop();
const capabilities = ['kv:read', 'kv:write', 'http:egress', 'log:write'];
const manifest = { capabilities, egress: ['api.example.com:443'] };
const secret = 'hunter22hunter22';
const code = `{ services: { tool: {
  async count(name, { host, progress }) {
    const { value } = await host.kv.get({ key: name });
    progress(1);
    await host.log.write({ message: 'counting' });
    await host.kv.put({ key: name, value: String(Number(value ?? 0) + 1) });
    return Number(value ?? 0) + 1;
  },
  async fetch(path, { host, config }) {
    const { body } = await host.http.fetch({ url: 'https://api.example.com/' + path, headers: { 'x-key': config.api_key } });
    await host.kv.put({ key: 'at', value: new Date().toISOString() });
    return body;
  },
  async both(_, { host }) {
    const [a, b] = await Promise.all([host.kv.get({ key: 'a' }), host.kv.get({ key: 'b' })]);
    return [a.value, b.value];
  },
  fail: () => { throw Object.assign(new Error('no such thing'), { code: 'not-found' }); },
} } }`;

const changed = (from: string, to: string): string => {
  if (!code.includes(from)) throw new Error(`the plugin has no ${from}`);
  return code.replace(from, to);
};

/** Records what the plugin does when these methods are called. */
async function record(t: Test, calls: readonly [string, unknown][]): Promise<string> {
  const folder = pluginFolder(t, { code, manifest });
  const file = join(folder, 'session.ndjson');
  const fixture = checkFixture({ http: [{ url: '*', body: `the answer, with ${secret}` }], kv: { a: 'one', b: 'two' } });
  let recorder: ReturnType<typeof createRecorder> | null = null;
  const { harness } = await openTestHarness(t, workshop, {
    folder,
    fixture,
    config: { api_key: secret },
    onBundle: (bundle) => recorder?.begin(bundle),
    onLine: (direction, line) => recorder?.message(direction, line),
  });
  recorder = createRecorder(file, { clock: createRealClock(), redact: harness.redact });
  await harness.start();
  for (const [method, payload] of calls) await harness.call('tool', method, payload).catch(() => {});
  await harness.stop();
  recorder.close();
  return file;
}

/** Plays a record against the plugin as it is now. */
function play(file: string, mode: 'strict' | 'loose', now: { code?: string; manifest?: object } = {}): Promise<ReplayReport> {
  const folder = join(file, '..');
  writeFileSync(join(folder, 'plugin.js'), `export default ${now.code ?? code};\n`);
  const source = JSON.parse(readFileSync(join(folder, 'plugin.json'), 'utf8'));
  writeFileSync(join(folder, 'plugin.json'), JSON.stringify({ ...source, ...now.manifest }));
  return replaySession({ folder, session: readSession(file), mode, workshop, timeoutMs: 700 });
}

t.test('given a record, when it is read, then it has every message and no secret', async (t) => {
  const file = await record(t, [['fetch', 'x']]);

  const text = readFileSync(file, 'utf8');
  t.notMatch(text, secret);
  t.match(text, '"x-key":"[redacted]"');
  const { header, rows } = readSession(file);
  t.equal(header.plugin.id, 'example.test');
  t.same(
    rows.map(({ dir, msg }) => `${dir} ${Object(msg).method ?? 'answer'}`),
    [
      'out initialize',
      'in answer',
      'out invoke',
      'in http.fetch',
      'out answer',
      'in kv.put',
      'out answer',
      'in answer',
      'out shutdown',
      'in answer',
    ],
  );
});

t.test('given the same plugin, when a record is played, then there is no difference; times differ only when strict', async (t) => {
  const file = await record(t, [
    ['count', 'a'],
    ['both', null],
    ['fail', 1],
  ]);
  t.same(await play(file, 'strict'), {
    invocations: [
      { line: 4, name: 'tool.count' },
      { line: 13, name: 'tool.both' },
      { line: 19, name: 'tool.fail' },
    ],
    difference: null,
  });
  t.equal((await play(file, 'loose')).difference, null);

  const timed = await record(t, [['fetch', 'x']]);
  t.match((await play(timed, 'strict')).difference, { path: '/params/value', what: /asks something else/ });
  t.equal((await play(timed, 'loose')).difference, null, 'the secret is not there either, and matches');
});

const order = "[host.kv.get({ key: 'a' }), host.kv.get({ key: 'b' })]";
const turned = "[host.kv.get({ key: 'b' }), host.kv.get({ key: 'a' })].reverse()";
type Expected = object | null;
const changes: [what: string, calls: [string, unknown][], now: { code?: string; manifest?: object }, strict: Expected, loose: Expected][] =
  [
    [
      'stores another value',
      [['count', 'a']],
      { code: changed('String(Number(value ?? 0) + 1)', 'String(2)') },
      { line: 10, path: '/params/value', expected: { ask: 'kv.put', params: { value: 'NaN' } }, got: { params: { value: '2' } } },
      { line: 10, path: '/params/value' },
    ],
    ['asks in another order', [['both', null]], { code: changed(order, turned) }, { line: 5, path: '/params/key' }, null],
    [
      'writes another log line',
      [['count', 'a']],
      { code: changed("'counting'", "'reckoning'") },
      { line: 8, path: '/params/message' },
      null,
    ],
    [
      'no longer asks',
      [['count', 'a']],
      { code: changed('await host.kv.put({ key: name, value: String(Number(value ?? 0) + 1) });', '') },
      { line: 10, what: /something else first/, expected: { ask: 'kv.put' }, got: { answer: null } },
      { line: 10, expected: { ask: 'kv.put' } },
    ],
    [
      'asks once more at the end',
      [['both', null]],
      { code: changed('return [a.value', "host.kv.get({ key: 'c' }).catch(() => {}); return [a.value") },
      { line: 9, what: /something else first/, got: { ask: 'kv.get' } },
      { what: /goes on/, got: { ask: 'kv.get' } },
    ],
    [
      'answers with another error',
      [['fail', 1]],
      { code: changed("'no such thing'", "'nothing'") },
      { line: 5, what: /answers something else/, path: '/error/message' },
      null,
    ],
    [
      'is granted less',
      [['both', null]],
      { manifest: { capabilities: ['kv:write', 'http:egress', 'log:write'] } },
      { what: 'kv.get was answered, and is refused now', got: { error: { code: 'capability-denied' } } },
      { what: 'kv.get was answered, and is refused now' },
    ],
    ['says nothing', [['both', null]], { code: changed(order, '[new Promise(() => {})]') }, { line: 5, what: /nothing came/ }, { line: 5 }],
  ];
for (const [what, calls, now, strict, loose] of changes) {
  t.test(`given a plugin that ${what}, when a record is played, then the first difference is told`, async (t) => {
    const file = await record(t, calls);
    for (const [mode, expected] of [
      ['strict', strict],
      ['loose', loose],
    ] as const) {
      const { difference } = await play(file, mode, now);
      if (expected === null) t.equal(difference, null, mode);
      else t.match(difference, expected, mode);
    }
  });
}

const living = `{ services: { tool: {
  async count(_, { host }) { return (await host.kv.get({ key: 'a' })).revision; },
  async die(_, { host }) { await host.kv.get({ key: 'last' }); process.exit(9); },
  never: (_, { signal }) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
} }, async onShutdown({ host }) { await host.kv.get({ key: 'end' }); } }`;

/** One session: a call, a reload with another one under way, a crash in a call and the restart after it, a last call. */
async function recordGenerations(t: Test): Promise<string> {
  const folder = pluginFolder(t, { code: living, manifest });
  const file = join(folder, 'session.ndjson');
  let recorder: ReturnType<typeof createRecorder> | null = null;
  const { harness, of, until } = await openTestHarness(t, workshop, {
    folder,
    onBundle: (bundle) => recorder?.begin(bundle),
    onLine: (direction, line) => recorder?.message(direction, line),
  });
  recorder = createRecorder(file, { clock: createRealClock(), redact: harness.redact });
  const ready = (generation: number) => until(() => of('state').some((event) => event.to === 'ready' && event.generation === generation));
  await harness.start();
  await harness.call('tool', 'count');
  const abandoned = harness.call('tool', 'never').catch(() => {});
  await harness.reload();
  await abandoned;
  await harness.call('tool', 'count');
  await harness.call('tool', 'die').catch(() => {});
  await ready(3);
  await harness.call('tool', 'count');
  await harness.stop();
  recorder.close();
  return file;
}

t.test(
  'given a session with a reload and a crash, when it is played, then there is no difference; without the crash there is one',
  async (t) => {
    const file = await recordGenerations(t);
    const calls = ['tool.count', 'tool.never', 'tool.count', 'tool.die', 'tool.count'];
    for (const mode of ['strict', 'loose'] as const) {
      const { invocations, difference } = await play(file, mode, { code: living });
      t.equal(difference, null, `${mode}: ${JSON.stringify(difference)}`);
      t.same(
        invocations.map(({ name }) => name),
        calls,
      );
    }
    const cured = await play(file, 'strict', { code: living.replace('process.exit(9)', "return 'well'") });
    t.match(cured.difference, { what: /the plugin crashed/, expected: { crash: true }, got: { answer: 'well' } });
    const asksMore = await play(file, 'loose', { code: living.replace('(await host', "(host.kv.get({ key: 'b' }), await host") });
    t.match(asksMore.difference, { what: /where the record starts the plugin anew the plugin goes on/, got: { ask: 'kv.get' } });
  },
);

t.test('given a report, when it is written for CI, then the failed case says where', async (t) => {
  const difference = { line: 7, what: 'asks <something> else', expected: 1, got: 2, path: null };
  const text = writeJunit(
    {
      invocations: [
        { line: 2, name: 'a.b' },
        { line: 5, name: 'a.c' },
      ],
      difference,
    },
    's.ndjson',
    () => 'line 7 & so on\u0000',
  );
  t.match(text, '<testsuite name="s.ndjson" tests="2" failures="1">');
  t.match(text, '<testcase classname="s.ndjson" name="line 2: a.b"/>');
  t.match(text, '<failure message="asks &lt;something&gt; else">line 7 &amp; so on?</failure>');
});

const broken: [string, string, RegExp][] = [
  ['no record', 'hello\n', /^session\.ndjson:1: this line is not JSON/],
  ['another form', '{"schema":"x"}\n', /^session\.ndjson:1: this is no record/],
];
for (const [what, text, message] of broken) {
  t.test(`given ${what}, when it is read, then the error names the line`, async (t) => {
    const folder = testFolder(t, { 'session.ndjson': text });
    t.throws(() => readSession(join(folder, 'session.ndjson')), { code: 'invalid-params', message });
  });
}

t.test('given a record that was cut off, when it is read, then what is whole counts', async (t) => {
  const head = JSON.stringify({ schema: 'lattice.dev.session.v1', plugin: { id: 'a.b', version: '1.0.0', artifact_sha256: '' } });
  const folder = testFolder(t, { 'session.ndjson': `${head}\n{"at":1,"dir":"out","msg":{}}\n{"at":2,"di` });
  t.equal(readSession(join(folder, 'session.ndjson')).rows.length, 1);
});
