// Writes without end what it is told to write, as fast as it is read; never returns.
import { writeSync } from 'node:fs';

const sleeper = new Int32Array(new SharedArrayBuffer(4));

function flood(fd, line) {
  const chunk = Buffer.from(line.repeat(Math.ceil(65536 / line.length))); // whole lines
  for (;;) {
    for (let at = 0; at < chunk.length; ) {
      try {
        at += writeSync(fd, chunk, at);
      } catch (error) {
        if (error.code !== 'EAGAIN') throw error;
        Atomics.wait(sleeper, 0, 0, 1); // the pipe is full
      }
    }
  }
}

export default {
  services: {
    tool: {
      echo: (payload) => payload,
      log: () => flood(2, `${'x'.repeat(99)}\n`),
      messages: () => flood(1, '{"jsonrpc":"2.0","method":"$/noise","params":{"text":"nothing to see here"}}\n'),
      dense: () => flood(1, `{"jsonrpc":"2.0","method":"$/noise","params":[${Array(349_000).fill('{}')}]}\n`),
      denseRequests: () => flood(1, `{"jsonrpc":"2.0","id":7,"method":"kv.get","params":[${Array(349_000).fill('{}')}]}\n`),
      blank: () => flood(1, '\n'),
      garbage: () => flood(1, '{"this is not": JSON}\n'),
      spin: () => {
        for (;;);
      },
    },
  },
};
