import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { readConfig } from '../../../supervisor/cli/dev.ts';
import { parseCall } from '../../../supervisor/dev/console/commands.ts';
import { pluginFolder } from '../../support/plugin-folder.ts';
import { runVerb } from '../../support/run-cli.ts';
import { bin, runLattice } from './run-lattice.ts';

const environment = { NO_COLOR: '1' };
const code = `{ services: { tool: {
  say: (word) => word,
  put: (value, { host }) => host.kv.put({ key: 'a', value }),
  async all(_, { host, config }) {
    await host.http.fetch({ url: 'https://api.example.com/v1', headers: { authorization: 'Bearer ' + config.api_key } });
    return host.kv.get({ bucket: 'places', key: 'home' });
  },
} } }`;

t.test('given --once and a denied call, when dev runs, then plain lines name the line to add, and the exit code says denied', async (t) => {
  const folder = pluginFolder(t, { code });

  const calls = ['--call', 'tool.say "hello"', '--call', 'tool.put "x"', '--call', 'tool.none'];
  const ran = await runVerb(['dev', folder, '--once', ...calls], environment);

  t.equal(ran.exitCode, 4);
  t.match(ran.stdout, /state +ready \(generation 1\)/);
  t.match(ran.stdout, /<- "hello"/);
  t.match(ran.stdout, /denied kv\.put .*\n.*kv:write, risk write.*\n +add to plugin\.json at \/capabilities\/-: {2}"kv:write"/);
  t.match(ran.stdout, /<- method-not-found .*\n +hint: it declares tool\.say, /);
  t.match(ran.stderr, 'capability-denied');
});

t.test('given --json, when dev runs once, then each line is an event, and a program finds the fix', async (t) => {
  const folder = pluginFolder(t, { code });

  const ran = await runVerb(['dev', folder, '--once', '--json', '--wire', '--call', 'tool.put "x"'], environment);

  const events = ran.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.match(
    events.find(({ kind }) => kind === 'host-answer'),
    { verdict: 'deny', fixes: [{ pointer: '/capabilities/-', json: '"kv:write"' }] },
  );
  t.ok(events.some(({ kind, message }) => kind === 'message' && message.method === 'initialize'));
  t.match(events.at(-1), { code: 'capability-denied', detail: /kv\.put/ });
});

t.test('given --learn, when dev has run, then it proposes the smallest manifest as a diff, and --write makes it so', async (t) => {
  const folder = pluginFolder(t, { code, manifest: { capabilities: ['audit:read'] } });
  const args = ['dev', folder, '--once', '--learn', '--config', '{"api_key":"hunter22"}', '--call', 'tool.all'];
  const file = join(folder, 'plugin.json');
  const before = readFileSync(file, 'utf8');

  const proposed = await runVerb(args, environment);
  t.equal(proposed.exitCode, 0);
  t.match(proposed.stdout, '--- a/plugin.json\n+++ b/plugin.json\n@@');
  t.match(proposed.stdout, '+  "egress": ["api.example.com:443"],');
  t.notMatch(proposed.stdout, 'hunter22');
  t.equal(readFileSync(file, 'utf8'), before, 'nothing is written unasked');

  await runVerb([...args, '--write'], environment);
  const written = JSON.parse(readFileSync(file, 'utf8'));
  t.same(written.capabilities, ['http:egress', 'kv:read']);
  t.same(written.kv, { read_buckets: ['places'] });
  t.notOk('memory_mib' in (written.resources ?? {}), 'the default is enough');
  const fixture = join(folder, 'fixture.yaml');
  writeFileSync(fixture, 'http:\n  - url: https://api.example.com/*\nbuckets: { places: { home: Hamburg } }\n');
  const ran = await runVerb(['call', folder, 'tool.all', '--config', '{"api_key":"x"}'], environment);
  t.same(JSON.parse(ran.stdout), { value: 'Hamburg', revision: 1 }, 'with it, and no more, the same runs');
});

/** A command that goes on, and what it has said. */
function startDev(t: Test, ...args: string[]) {
  const child = spawn('/usr/bin/env', ['-i', process.execPath, bin, 'dev', ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  t.teardown(() => void child.kill('SIGKILL'));
  let text = '';
  const waiting = new Set<() => void>();
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    for (const look of [...waiting]) look();
  });
  const seen = (what: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => void (text.includes(what) && resolve());
      waiting.add(look);
      look();
      void ended.then(() => reject(new Error(`it ended before ${what}: ${text}`)));
    });
  return { child, ended, seen, text: () => text };
}

t.test('given no terminal, when dev watches, then it reloads after a change, keeps the last good one, and a signal ends it', async (t) => {
  const folder = pluginFolder(t, { code: "{ services: { tool: { say: () => 'one' } } }" });
  const { child, ended, seen, text } = startDev(t, folder, '--json');

  await seen('"to":"ready","generation":1');
  writeFileSync(join(folder, 'plugin.js'), 'export default {{\n');
  await seen('"ok":false');
  child.stdin.write('c tool.say\n');
  await seen('"result":"one"');
  writeFileSync(join(folder, 'plugin.js'), "export default { services: { tool: { say: () => 'two' } } };\n");
  await seen('"to":"ready","generation":2');
  child.stdin.write('c tool.say\n');
  await seen('"result":"two"');
  child.stdin.write('k\nx\nq\n');

  t.equal(await ended, 0);
  for (const what of ['the buckets are empty', '"to":"stopped"']) t.match(text(), what);
});

t.test('given what is no fault, when dev is asked for it, then it says what one is', async (t) => {
  const ran = await runVerb(['dev', '.', '--fault', 'deny@invoke'], environment);
  t.match(ran, { exitCode: 2, stderr: /only those can be denied/ });
});

const configs: [string, RegExp][] = [
  ['[1]', /not a JSON object/],
  ['{"a":1,"a":2}', /not a JSON object: .*twice/],
  ['{', /not a JSON object/],
];
for (const [text, message] of configs) {
  t.test(`given the settings ${text}, when they are read, then they are refused`, async (t) => {
    t.throws(() => readConfig(text), { code: 'invalid-params', message });
  });
}

const calls: [string, unknown][] = [
  ['a.b', { service: 'a', method: 'b', payload: null }],
  [' greeter.greet  {"name": "Ada"} ', { service: 'greeter', method: 'greet', payload: { name: 'Ada' } }],
  ['a.b 7', { service: 'a', method: 'b', payload: 7 }],
];
for (const [text, expected] of calls) {
  t.test(`given the call ${text}, when it is read, then its parts are known`, async (t) => {
    t.same(parseCall(text), expected);
  });
}
for (const text of ['a', 'a.b.c', 'a.b {', '.b 1']) {
  t.test(`given the call ${text}, when it is read, then it is refused with an example`, async (t) => {
    t.throws(() => parseCall(text), { code: 'invalid-params', details: { hint: /greeter\.greet/ } });
  });
}

t.test('given a folder, when one method is called, then only its result is on stdout', async (t) => {
  const folder = pluginFolder(t, { code });
  const ran = await runLattice(['call', folder, 'tool.say', '-'], { environment, input: '{"a":[1]}' });
  t.same([ran.exitCode, JSON.parse(ran.stdout)], [0, { a: [1] }]);
});
