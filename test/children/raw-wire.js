// Speaks on the wire itself: it never returns to the runner that loaded it. A test appends what it says.
import { readSync, writeSync } from 'node:fs';

const sleeper = new Int32Array(new SharedArrayBuffer(4));
const rest = () => Atomics.wait(sleeper, 0, 0, 5);

/** Writes all of it, however full the pipe is. */
function write(fd, text) {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
      rest();
    }
  }
}
const note = (text) => write(2, `${text}\n`);
const say = (...messages) => write(1, messages.map((message) => `${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`).join(''));

let held = '';
/** The next message; the process ends when there will be none. */
function hear() {
  const part = Buffer.alloc(65536);
  while (!held.includes('\n')) {
    try {
      const count = readSync(0, part);
      if (count === 0) process.exit(0);
      held += part.toString('utf8', 0, count);
    } catch (error) {
      if (error.code !== 'EAGAIN') process.exit(0);
      rest();
    }
  }
  const [line] = held.split('\n', 1);
  held = held.slice(line.length + 1);
  return JSON.parse(line);
}
const becomeReady = () => say({ id: 1, result: { protocol: 1 } }); // the supervisor's first request

export const wire = { note, hear, becomeReady };
