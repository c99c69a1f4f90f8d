import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import t from 'tap';
import { bin, startWithCli } from './run-lattice.ts';

t.test(
  'given a log file, when it is fed, interrupted and fed again, then each line comes once, and the place is kept in the bucket feed',
  async (t) => {
    const app = await startWithCli(t);
    const file = join(app.dataDir, 'auth.log');
    const accepted: string[] = [];
    app.state.answerCall = async ({ request }) => {
      accepted.push(...(request.payload as { lines: string[] }).lines);
      return { pending: 0 };
    };
    /** Runs the verb until the place behind the batch has been kept. */
    async function feedOnce(lines: string): Promise<number | undefined> {
      await appendFile(file, lines);
      const kept = new Promise<void>((resolve) => {
        const { put } = app.kv;
        app.kv.put = async (...args) => {
          const stored = await put(...args);
          if (args[0] === 'feed' && accepted.length > 0 && JSON.parse(args[2]).sending === null) resolve();
          return stored;
        };
      });
      const child = execa(process.execPath, [bin, 'feed', 'example.hello', '--file', file, '--from-start'], {
        env: app.environment,
        extendEnv: false,
        reject: false,
      });
      await kept;
      child.kill('SIGTERM');
      return (await child).exitCode;
    }

    t.equal(await feedOnce('one\ntwo\n'), 0);
    t.same(accepted.splice(0), ['one', 'two']);
    t.equal(await feedOnce('three\n'), 0);
    t.same(accepted, ['three']);
    t.match(app.state.calls[0]?.request, {
      id: 'example.hello',
      service: 'feed',
      method: 'ingest',
      payload: { source: /^file:auth\.log:/ },
    });
  },
);

t.test('given no source, two, or an unknown one, when feeding is asked for, then exit 2', async (t) => {
  const app = await startWithCli(t);
  for (const args of [[], ['--file', 'x', '--journal', 'ssh'], ['--journal', 'mail']]) {
    t.match(await app.lattice(['feed', 'example.hello', ...args]), { exitCode: 2, stderr: /--journal ssh/ });
  }
});

t.test('given a plugin that is not there, when a log is fed to it, then it ends with the word of the service', async (t) => {
  const app = await startWithCli(t);
  const file = join(app.dataDir, 'auth.log');
  await appendFile(file, 'one\n');
  t.match(await app.lattice(['feed', 'example.nobody', '--file', file, '--from-start']), { exitCode: 1, stderr: /not-found/ });
});
