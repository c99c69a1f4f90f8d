import { chown, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { HostError } from '../../../protocol/errors.ts';
import { startWithCli } from './run-lattice.ts';

t.test(
  'given words of the service, when a verb fails, then the exit code is the word’s, and --json prints the problem as it came',
  async (t) => {
    const app = await startWithCli(t);
    const words: [HostError['code'], number][] = [
      ['not-found', 1],
      ['forbidden', 4],
      ['verification-failed', 5],
      ['deadline-exceeded', 6],
      ['conflict', 7],
      ['unavailable', 8],
      ['rate-limited', 8],
      ['internal', 1],
    ];
    for (const [code, exitCode] of words) {
      app.state.answerCall = async () => {
        throw new HostError(code, 'it is so', { hint: 'do this' });
      };
      const ran = await app.json(['plugins', 'call', 'example.hello', 's.m']);
      t.match(ran, { exitCode, value: { code, type: `/problems/${code}`, request_id: /^r-/, error: { message: /./ } } }, code);
    }
    app.state.answerCall = async () => {
      throw new HostError('capability-denied', 'x called y without z', { pointer: '/capabilities/-', line: '"kv:write"', hint: 'add it' });
    };
    const { stderr } = await app.lattice(['plugins', 'call', 'example.hello', 's.m']);
    t.equal(
      stderr,
      'lattice plugins call failed: x called y without z\n  why:  Capability not granted (capability-denied)\n  at:   /capabilities/-: "kv:write"\n  hint: add it\n',
    );
  },
);

t.test(
  'given a log that is followed, when lines come and the service stops, then they are printed as they come, and the end is exit 8',
  async (t) => {
    const app = await startWithCli(t);
    app.state.log('first');
    const follow = app.followers.add.bind(app.followers);
    app.followers.add = (follower) => {
      follow(follower);
      app.state.log('second');
      setImmediate(() => void app.server.stop(60_000)); // once these lines are on their way
      return app.followers;
    };
    t.match(await app.lattice(['plugins', 'logs', 'example.hello', '-f']), {
      exitCode: 8,
      stdout: /first\n.*second\n$/,
      stderr: /has stopped/,
    });
  },
);

t.test(
  'given a stopped service, when the audit is verified offline and the token reset, then both work on its files; while it runs, exit 7',
  async (t) => {
    const app = await startWithCli(t);
    const { lockDataDir } = await import('../../../supervisor/data-lock.ts');
    const lock = await lockDataDir(app.dataDir);
    t.match(await app.lattice(['token', 'reset']), { exitCode: 7, stderr: /the service runs/ });
    t.match(await app.lattice(['audit', 'verify', '--offline']), { exitCode: 7 });
    await app.stop();
    await lock.release();
    t.match(await app.lattice(['audit', 'verify', '--offline']), { exitCode: 0, stdout: /complete up to row/ });
    t.match(await app.lattice(['token', 'reset']), { exitCode: 0, stdout: /the new admin token is in/ });
    await writeFile(join(app.dataDir, 'audit.head'), JSON.stringify({ seq: 9999, hash: '0'.repeat(64) }));
    const ran = await app.json(['audit', 'verify', '--offline']);
    t.match(ran, { exitCode: 5, value: { code: 'verification-failed', ok: false, reason: /shorter/ } });
  },
);

t.test('given a database of another user, when the token is reset, then exit 4 and nothing of ours is left there', async (t) => {
  if (process.getuid?.() !== 0) return t.pass('only root can make such a file');
  const app = await startWithCli(t);
  await app.stop();
  await chown(join(app.dataDir, 'lattice.db'), 65534, 65534);
  t.match(await app.lattice(['token', 'reset']), { exitCode: 4, stderr: /uid 65534/ });
});
