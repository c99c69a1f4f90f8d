import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import t from 'tap';

const program = `
import { claimStdio } from ${JSON.stringify(new URL('../../runner-child/stdio.ts', import.meta.url).href)};
const { input, output } = claimStdio();
const memory = new Set();
const alive = setInterval(() => {}, 1000); // a stream that is paused keeps no process
let held = null;
const say = (chunk, what) => output.write(what + ' ' + chunk.toString() + '\\n');
input.on('data', (chunk) => {
  memory.add(chunk.buffer);
  if (chunk.toString() !== 'hold') return say(chunk, 'read');
  input.pause();
  held = chunk;
  say(chunk, 'paused');
});
process.on('SIGUSR2', () => {
  say(held, 'still');
  input.resume();
});
input.on('end', () => {
  clearInterval(alive);
  output.write('pieces of memory ' + memory.size + '\\n');
});
console.log('for the log');
process.stdout.write('as well\\n');
`;

t.test(
  'given a child that reads its stdin, when chunks come and it pauses, then all use one piece of memory, and none overwrites what it holds',
  async (t) => {
    const child = spawn('/usr/bin/env', ['-i', process.execPath, '--input-type=module', '-e', program], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const closed = once(child, 'close');
    let log = '';
    child.stderr.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const say = async () => String((await lines.next()).value);

    child.stdin.write('one');
    t.equal(await say(), 'read one');
    child.stdin.write('hold');
    t.equal(await say(), 'paused hold');
    child.stdin.write('three');
    child.kill('SIGUSR2');
    t.equal(await say(), 'still hold');
    t.equal(await say(), 'read three');
    child.stdin.end();
    t.equal(await say(), 'pieces of memory 1');
    t.same(await closed, [0, null]);
    t.equal(log, 'for the log\nas well\n', 'what the plugin prints is its log');
  },
);
