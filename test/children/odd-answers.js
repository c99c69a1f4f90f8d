// Answers in every way that a careless author finds.

const cycle = {};
cycle.self = cycle;

export default {
  services: {
    odd: {
      nothing: () => undefined,
      text: () => 'a \u2028 line\u0000 \ud83d\ude00',
      late: async () => new Promise((resolve) => setImmediate(resolve, 'late')),
      huge: () => 'x'.repeat(2 * 1024 * 1024),
      bigint: () => ({ n: 1n }),
      cycle: () => cycle,
      fn: () => () => 1,
      nan: () => ({ n: Number.NaN }),
      throwNull: () => {
        throw null;
      },
      throwWord: () => {
        throw Object.assign(new Error('not your colour'), { code: 'not-found' });
      },
      throwForeign: () => {
        throw Object.assign(new Error('ENOENT: /secret'), { code: 'ENOENT' });
      },
      throwHuge: () => {
        throw new Error('y'.repeat(3 * 1024 * 1024));
      },
      throwTrap: () => {
        throw {
          get code() {
            throw new Error('a trap');
          },
          get message() {
            throw new Error('another trap');
          },
        };
      },
      vague: (_payload, { progress }) => {
        progress(undefined);
        progress(() => 1);
        progress({ half: true });
      },
      never: () => new Promise(() => {}),
      print: () => {
        console.log('by console');
        process.stdout.write('by stdout\n');
        return 'printed';
      },
      forget: () => {
        Promise.reject(new Error('nobody caught this'));
        return 'forgot';
      },
    },
  },
};
