// Prints where a plugin should not, and where it may.
import { writeSync } from 'node:fs';

const repeat = (count, print) => {
  for (let n = 1; n <= count; n++) print(n);
  return count;
};

export default {
  services: {
    tool: {
      echo: (payload) => payload,
      log: (count) => repeat(count, (n) => console.log(`logged ${n}`)),
      write: (count) => repeat(count, (n) => process.stdout.write(`written ${n}\n`)),
      stray: (count) => repeat(count, (n) => writeSync(1, `stray ${n}\n`)),
      glue: () => writeSync(1, 'no end of line '),
    },
  },
};
