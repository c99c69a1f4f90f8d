// Writes to the protocol's own stream whatever it is told, byte for byte, beside the runner that speaks there.
import { writeSync } from 'node:fs';

const rest = new Int32Array(new SharedArrayBuffer(4));

/** Writes all of it, however full the pipe is. */
function write(fd, bytes) {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(rest, 0, 0, 1);
    }
  }
}

/** Repeats a piece until so many bytes are out, then ends with the rest of what was asked. */
function flood(fd, piece, total) {
  const chunk = Buffer.concat(Array.from({ length: Math.max(1, Math.floor(65536 / piece.length)) }, () => piece));
  for (let left = total; left > 0; left -= chunk.length) write(fd, chunk);
}

/** Garbage that is the same for the same seed: xorshift. */
function garbage(seed, length) {
  const bytes = Buffer.alloc(length);
  let x = seed >>> 0 || 1;
  for (let at = 0; at < length; at++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    bytes[at] = x;
  }
  return bytes;
}

const halfLine = (length) => Buffer.from('{"jsonrpc":"'.padEnd(length, 'y'));
const never = () => new Promise(() => {});
const pending = [];

export default {
  services: {
    tool: {
      echo: (payload) => payload,
      hang() {
        console.error('hanging');
        return never();
      },
      /** Leaves host calls open, so that a test sees what becomes of them. */
      async put({ key, value }, { host }) {
        return host.kv.put({ key, value });
      },
      write({ base64, fd = 1 }) {
        console.error('about to write');
        write(fd, Buffer.from(base64, 'base64'));
        return 'written';
      },
      flood({ text, total, fd = 1 }) {
        console.error('about to flood');
        flood(fd, Buffer.from(text), total);
        return 'flooded';
      },
      garbage({ seed, total }) {
        console.error('about to write garbage');
        for (let left = total, n = 0; left > 0; left -= 65536) write(1, garbage(seed + n++, Math.min(left, 65536)));
        return 'written';
      },
      leave({ length, code }) {
        write(1, halfLine(length));
        process.exit(code);
      },
      hush({ length }) {
        write(1, halfLine(length));
        console.error('half a line is out');
        for (;;) Atomics.wait(rest, 0, 0, 1000);
      },
      /** Asks and asks, and reads no answer. */
      gorge({ method, params, count }) {
        console.error('about to gorge');
        for (let n = 0; n < count; n++) write(1, Buffer.from(`${JSON.stringify({ jsonrpc: '2.0', id: `g${n}`, method, params })}\n`));
        console.error('gorged');
        for (;;) Atomics.wait(rest, 0, 0, 1000);
      },
    },
  },
  async onShutdown({ host, config }) {
    for (const [method, params] of config.at_shutdown ?? []) {
      const [namespace, verb] = method.split('.');
      pending.push(
        host[namespace][verb](params).then(
          () => console.error(`${method} answered`),
          (error) => console.error(`${method} ${error.code} ${error.details?.rule}`),
        ),
      );
    }
    await Promise.all(pending);
  },
};
