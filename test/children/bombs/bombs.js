// Takes without end what it is told to take. Only to be run in the cage.
import { appendFileSync, openSync, writeFileSync, writeSync } from 'node:fs';

const hoard = [];
const note = (text) => writeSync(2, `${text}\n`);

/** Takes until it is refused, and lives on with all of it. */
function hog(take) {
  let taken = 0;
  try {
    for (;;) {
      hoard.push(take(taken));
      taken++;
    }
  } catch (error) {
    return { taken, refused: error.info?.code ?? error.code ?? error.name };
  }
}

export default {
  services: {
    tool: {
      echo: (payload) => payload,
      heap() {
        note('filling the heap');
        for (;;) hoard.push(Array.from({ length: 10_000 }, (_, n) => ({ n })));
      },
      buffers: () => hog(() => Buffer.alloc(1 << 20, 1)),
      wasm() {
        const memory = new WebAssembly.Memory({ initial: 1 });
        return hog(() => {
          memory.grow(16);
          new Uint8Array(memory.buffer).fill(1, -(1 << 20));
        });
      },
      descriptors: () => hog((count) => openSync(`/tmp/held-${count}`, 'w')),
      files: () => hog((count) => writeFileSync(`/tmp/file-${count}`, Buffer.alloc(1 << 20, 1))),
      oneFile: () => hog(() => appendFileSync('/tmp/large', Buffer.alloc(1 << 20, 1))),
      spin() {
        note('spinning');
        for (;;);
      },
    },
  },
};
