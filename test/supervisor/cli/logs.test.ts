import t from 'tap';
import { startWithCli } from './run-lattice.ts';

t.test(
  'given a plugin of two runs, when its log is read, then the newest by default, --prev the one before, --run the one named',
  async (t) => {
    const app = await startWithCli(t);
    t.match(await app.json(['plugins', 'logs', 'example.hello', '--prev']), { exitCode: 1, value: { code: 'not-found' } });
    app.state.log('first run', 4);
    app.state.log('second run', 7);
    const read = async (...more: string[]) => (await app.lattice(['plugins', 'logs', 'example.hello', ...more])).stdout;
    t.match(await read(), /second run/);
    t.match(await read('--prev'), /first run/);
    t.match(await read('--run', '4'), /first run/);
    t.match(await app.json(['plugins', 'logs', 'example.hello', '--prev', '--run', '4']), { exitCode: 2 });
  },
);
