import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { checks } from '../../../supervisor/author/conformance/checks.ts';
import { runConformance } from '../../../supervisor/author/conformance/run-conformance.ts';
import { type Language, writePlugin } from '../../../supervisor/author/new-plugin.ts';
import { createRealClock } from '../../../supervisor/clock.ts';
import { openWorkshop } from '../../../supervisor/dev/harness/workshop.ts';
import { projectRoot } from '../../docs/markdown.ts';
import { testFolder } from '../../support/test-folder.ts';
import { runLattice } from '../cli/run-lattice.ts';

const workshop = await openWorkshop();
const clock = createRealClock();
const call = { service: 'greeter', method: 'greet', payload: { name: 'Ada' } };
const isolated = workshop.runner.sandbox()?.level.startsWith('isolated') ? false : 'native plugins need the full cage';
const lacks = (program: string) => !existsSync(`/usr/bin/${program}`) && `${program} is not installed`;
const write = (folder: string, language: Language) =>
  writePlugin(folder, {
    language,
    id: 'example.tried',
    name: 'Tried',
    publisher: 'dev.local',
    capabilities: ['kv:read', 'kv:write', 'log:write'],
    egress: [],
  });

for (const [language, skip] of [
  ['c', isolated || lacks('gcc')],
  ['go', isolated || lacks('go')],
] as const)
  t.test(
    `given a new plugin in ${language}, when the suite tries it, then it passes every check, each for what it is about`,
    { skip },
    async (t) => {
      const folder = join(testFolder(t), 'plugin');
      write(folder, language);
      const report = await runConformance(folder, { workshop, clock }, { call });
      t.same(
        report.checks.filter(({ verdict }) => verdict !== 'pass'),
        [],
      );
      t.same(
        report.checks.filter(({ detail }) => /--call/.test(detail)),
        [],
        'the call succeeds and asks the host',
      );
      t.match(report, { id: 'example.tried', ok: true });
    },
  );

for (const [id, named] of [
  ['example.hello', call],
  ['lattice.ssh-login-alert', undefined],
] as const)
  t.test(`given the plugin ${id}, when the suite tries it, then it passes`, async (t) => {
    const report = await runConformance(join(projectRoot, 'plugins', id), { workshop, clock }, named ? { call: named } : {});
    t.same(
      report.checks.filter(({ verdict }) => verdict !== 'pass'),
      [],
    );
  });

/** The plugin in C with one fault put in, the check that must find it, and what it must say. */
const mutants: [name: string, check: keyof typeof checks, from: string | RegExp, to: string, says: RegExp][] = [
  ['answers another protocol', 'handshake', '{\\"protocol\\":1}', '{\\"protocol\\":2}', /initialize/],
  [
    'asks before it is ready',
    'handshake',
    '    ready = true;',
    '    ready = true; free(call_host("kv.list", "{}"));',
    /before it had answered/,
  ],
  [
    'claims every protocol',
    'version-refusal',
    'else answer_error(id, -31011, "unavailable", "this plugin speaks protocol 1")',
    'else answer(id, "{\\"protocol\\":99}")',
    /protocol 99/,
  ],
  [
    'answers one ping',
    'ping',
    '  answer(member(message, "id"), "{}");',
    '  static int many; if (many++ == 0) answer(member(message, "id"), "{}");',
    /ping: not within/,
  ],
  [
    'takes any method',
    'unknown-method',
    'else answer_error(id, -32601, "method-not-found", "a plugin does not answer this")',
    'else answer(id, "{}")',
    /-32601/,
  ],
  [
    'takes any service method',
    'undeclared-method',
    'else answer_error(id, -32601, "method-not-found", "no such service method")',
    'else answer(id, "{}")',
    /-32601/,
  ],
  [
    'ends at a notification',
    'unknown-notification',
    'if (!id.from || !method.from) return;',
    'if (!id.from || !method.from) exit(0);',
    /ended/,
  ],
  [
    'answers with its own ids',
    'text-ids',
    '  if (answer_ping(message)) return;',
    '  if (is_text(method, "ping")) { answer(value_at("1"), "{}"); return; }',
    /unknown-answer/,
  ],
  ['greets before initialize', 'before-initialize', 'if (!ready)', 'if (false)', /before it was initialized/],
  ['lets pings wait', 'ping-while-waiting', 'if (is_answer || answer_ping(message) ||', 'if (is_answer ||', /ping: not within/],
  [
    'forgets its caller',
    'refused-host-call',
    'if (!error.from) return false;',
    'if (!error.from) return false; else return true;',
    /invoke: not within/,
  ],
  [
    'answers twice',
    'cancellation',
    '  answer(id, result.bytes);',
    '  answer(id, result.bytes); answer(id, result.bytes);',
    /second answer/,
  ],
  ['drops the rest', 'many-at-once', '    else keep(line);', '    else free(line);', /invoke: not within/],
  ['has a small buffer', 'oversize', '  if (length < 0) {', '  if (length < 0 || length > 65536) {', /ended/],
  ['trips over escapes', 'odd-json', "if (*at == '\\\\' && at[1]) at++;", ';', /id stands behind|ended/],
  [
    'answers garbage',
    'garbage',
    '    exit(1);',
    '    puts("{\\"jsonrpc\\":\\"2.0\\",\\"id\\":null,\\"error\\":{\\"code\\":-32700,\\"message\\":\\"x\\"}}"); fflush(stdout); return;',
    /invalid-id/,
  ],
  ['prints to stdout', 'ping', '    ready = true;', '    ready = true; puts("ready now"); fflush(stdout);', /stray-output.*ready now/],
  [
    'refuses shutdown',
    'shutdown',
    'answer(id, "{}");\n  else answer_error',
    'answer_error(id, -32603, "internal", "no");\n  else answer_error',
    /shutdown was answered with an error/,
  ],
  ['does not end', 'end-of-input', /if \(!line\) return 0;/, 'if (!line) for (;;) ;', /end of the process/],
  [
    'asks with wrong parameters',
    'invoke',
    'call_host("kv.get", get.bytes)',
    'call_host("kv.get", "{\\"name\\":1}")',
    /invalid-params: kv\.get/,
  ],
];

const impatient = { ...clock, timer: (delayMs: number, run: () => void) => clock.timer(delayMs / 4, run) };
for (const [name, check, from, to, says] of mutants)
  t.test(
    `given a plugin that ${name}, when ${check} tries it, then it fails and says so`,
    { skip: isolated || lacks('gcc') },
    async (t) => {
      const folder = join(testFolder(t), 'plugin');
      write(folder, 'c');
      const source = readFileSync(join(folder, 'plugin.c'), 'utf8');
      const mutant = source.replace(from, to.replaceAll('$', '$$$$'));
      t.not(mutant, source, 'the fault is in');
      writeFileSync(join(folder, 'plugin.c'), mutant);
      const report = await runConformance(folder, { workshop, clock: impatient }, { call, only: [check] });
      t.match(report, { ok: false, checks: [{ check, verdict: 'fail', detail: says }] });
    },
  );

t.test('given all checks, when the mutants are counted, then each check has one that it finds', async (t) => {
  const found = new Set(mutants.map(([, check]) => check));
  const others = ['deadline', 'cut-lines']; // as cancellation, and what getline does by itself
  t.same(
    Object.keys(checks).filter((check) => !found.has(check) && !others.includes(check)),
    [],
  );
});

t.test('given a plugin without services, when the suite tries it, then what needs a call is skipped and says why', async (t) => {
  const manifest = {
    schema: 'lattice.plugin.manifest.v3',
    id: 'example.mute',
    name: 'Mute',
    version: '1.0.0',
    publisher: 'dev.local',
    type: 'system',
    engine: 'node',
    capabilities: [],
  };
  const folder = testFolder(t, { 'plugin.json': JSON.stringify(manifest), 'plugin.js': 'export default {};' });
  const ran = await runLattice(['conformance', folder, '--only', 'ping,invoke', '--json']);
  t.match(ran, { exitCode: 0 });
  t.match(JSON.parse(ran.stdout), {
    ok: true,
    checks: [
      { check: 'ping', verdict: 'pass' },
      { check: 'invoke', verdict: 'skip', detail: /no service/ },
    ],
  });
  writeFileSync(join(folder, 'plugin.js'), 'import { writeSync } from "node:fs"; writeSync(1, "hello\\n"); export default {};');
  const failed = await runLattice(['conformance', folder, '--only', 'ping']);
  t.match(failed, { exitCode: 5, stdout: /ping +fail .*stray-output.*0 passed, 1 failed/s, stderr: /example\.mute fails 1 of 1/ });
  t.match(await runLattice(['conformance', folder, '--only', 'nothing']), { exitCode: 2, stderr: /one of handshake/ });
});
