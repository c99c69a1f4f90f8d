import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import t from 'tap';
import {
  type ArtifactDelivery,
  bootExitCodes,
  bootText,
  encodeArtifact,
  encodeRunner,
  type RunnerDelivery,
} from '../../../supervisor/sandbox/boot.ts';

const asIs = (bytes: Buffer) => bytes;

type Payload = RunnerDelivery & Partial<ArtifactDelivery>;

const encodeBoth = ({ artifact = Buffer.from('export default 42'), artifactSha256, title, ...first }: Payload): Buffer =>
  Buffer.concat([
    encodeRunner(first),
    encodeArtifact({ artifact, ...(artifactSha256 ? { artifactSha256 } : {}), ...(title ? { title } : {}) }),
  ]);

async function run(payload: Payload, change = asIs) {
  // env -i: a test runner may add to the environment of what it spawns.
  const child = spawn('/usr/bin/env', ['-i', process.execPath, '--permission', '-e', bootText], {
    env: {},
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const said = { out: '', err: '' };
  child.stdout?.on('data', (chunk: Buffer) => {
    said.out += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    said.err += chunk.toString();
  });
  const pipe = child.stdio[3] as Writable; // the fourth is a pipe
  pipe.on('error', () => {});
  pipe.end(change(encodeBoth(payload)));
  const [code] = await once(child, 'close');
  return { code, ...said };
}
const print = (expression: string) => ({
  runner: Buffer.from(`import plugin from 'lattice:artifact'; console.log(JSON.stringify(${expression}));`),
});

t.test(
  'given a runner and an artifact, when Node boots from the pipe, then the runner imports the artifact and nothing is warned of',
  async (t) => {
    t.same(await run(print('[plugin, import.meta.url]')), { code: 0, out: '[42,"lattice:runner"]\n', err: '' });
  },
);

t.test('given a boot, when the plugin looks around, then it finds no path, no arguments and no globals of a script', async (t) => {
  const names = ['process.argv', 'process.execPath', 'process.execArgv', 'process.report', 'typeof require', 'typeof fs', 'process.title'];
  const { out } = await run({ ...print(`[${names}]`), title: 'lattice plugin example.hello' });
  t.same(JSON.parse(out), [['node', 'lattice:artifact'], 'node', [], null, 'undefined', 'undefined', 'lattice plugin example.hello']);
});

t.test('given a fault in the artifact, when it is thrown, then its stack names the artifact and no file', async (t) => {
  const artifact = Buffer.from('export default 1;\nthrow new Error("broken");');
  const { code, err } = await run({ runner: Buffer.from("import 'lattice:artifact';"), artifact });
  t.equal(code, 1);
  t.match(err, /lattice:artifact:2/);
  t.notMatch(err, /\/(home|root|work|tmp|usr)\//);
});

t.test('given an artifact that imports a file or a package, when it is loaded, then it is told to bundle it', async (t) => {
  for (const name of ['left-pad', './other.js', '/etc/passwd', 'file:///etc/passwd', 'data:text/javascript,0']) {
    const { code, err } = await run({
      runner: Buffer.from("import 'lattice:artifact';"),
      artifact: Buffer.from(`import ${JSON.stringify(name)};`),
    });
    t.equal(code, 1);
    t.match(err, /a plugin is one file, so bundle what it needs/, name);
  }
});

t.test('given the seat belt, when the plugin signals another process, then it is refused, and itself it may end', async (t) => {
  const runner = Buffer.from(
    'try { process.kill(process.ppid, 0); console.log("sent"); } catch (error) { console.log(error.code); } process.kill(process.pid, "SIGKILL");',
  );
  const { code, out } = await run({ runner });
  t.equal(out, 'EPERM\n');
  t.equal(code, null, 'it ended by its own signal');
});

t.test('given no seat belt, as in the probe, when another process is signalled, then nothing of ours is in the way', async (t) => {
  t.equal((await run({ ...print('process.kill(process.ppid, 0)'), seatBelt: false })).out, 'true\n');
});

t.test('given a parent that is not the supervisor, when Node boots, then it ends before any of the plugin runs', async (t) => {
  t.same(await run({ ...print('"ran"'), parentPid: process.pid + 1 }), { code: bootExitCodes.orphaned, out: '', err: '' });
  t.equal((await run({ ...print('"ran"'), parentPid: process.pid })).out, '"ran"\n');
});

/** The runner's delivery alone. */
function firstOf(bytes: Buffer): Buffer {
  const end = 4 + bytes.readUInt32LE();
  return bytes.subarray(0, end + JSON.parse(bytes.subarray(4, end).toString()).length);
}

const damages: [name: string, change: (bytes: Buffer) => Buffer][] = [
  ['cut short', (bytes) => bytes.subarray(0, -1)],
  ['cut in its first head', (bytes) => bytes.subarray(0, 20)],
  ['without its artifact', firstOf],
  ['empty', () => Buffer.alloc(0)],
  ['changed in its last byte', (bytes) => Buffer.concat([bytes.subarray(0, -1), Buffer.from('3')])],
  ['changed in the runner', (bytes) => Buffer.from(bytes.toString().replace('console', 'konsole'))],
];
for (const [name, change] of damages) {
  t.test(`given a payload that is ${name}, when Node boots, then nothing of it runs`, async (t) => {
    t.same(await run(print('plugin'), change), { code: bootExitCodes.damagedPayload, out: '', err: '' });
  });
}

t.test('given a digest from the manifest, when the artifact is another, then it does not run', async (t) => {
  t.equal((await run({ ...print('plugin'), artifactSha256: '0'.repeat(64) })).code, bootExitCodes.damagedPayload);
});

t.test('given text beyond ASCII in artifact and runner, when Node boots, then it arrives whole', async (t) => {
  const { out } = await run({ ...print('[plugin, "grün → 🚀"]'), artifact: Buffer.from('export default "日本語 🚀"') });
  t.same(JSON.parse(out), ['日本語 🚀', 'grün → 🚀']);
});

t.test('given a child outside a cage, when memory usage is asked for, then it answers', async (t) => {
  const { out } = await run(print('[process.memoryUsage().heapUsed > 0, process.memoryUsage.rss() > 0]'));
  t.same(JSON.parse(out), [true, true]);
});

t.test('given the text of the command line, when it is read, then it names no path and fits one argument', async (t) => {
  t.notMatch(bootText, /\/(home|root|work|tmp|usr|run|var)\b/);
  t.ok(bootText.length < 8192);
});
