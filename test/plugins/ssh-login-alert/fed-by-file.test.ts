import { appendFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import plugin from '../../../plugins/lattice.ssh-login-alert/plugin.ts';
import { createRealClock } from '../../../supervisor/clock.ts';
import { runFeed } from '../../../supervisor/feed/feed.ts';
import { createFileSource } from '../../../supervisor/feed/follow-file.ts';
import { createQuietLog } from '../../support/quiet-log.ts';
import { testFolder } from '../../support/test-folder.ts';
import { createContext, createMockHost } from './mock-host.ts';

t.test('given a log that grows and is rotated, when it is fed to the plugin, then what happened is told once', async (t) => {
  const path = join(
    testFolder(t, { log: 'Jan  5 09:00:00 web1 sshd[1]: Accepted password for old from 203.0.113.1 port 5 ssh2\n' }),
    'log',
  );
  const { host, sent } = createMockHost();
  const stop = new AbortController();
  let saved: string | null = null;
  const begun = Promise.withResolvers<void>();
  const done = Promise.withResolvers<void>();
  const feed = () =>
    runFeed({
      source: createFileSource({ path, clock: createRealClock(), log: createQuietLog(), pollMs: 20 }),
      send: async (batch) => {
        const answer = await plugin.services.feed.ingest(batch, createContext(host));
        if (sent.length >= 3) done.resolve();
        return answer;
      },
      loadCursor: async () => saved,
      saveCursor: async (text) => {
        saved = text;
        begun.resolve();
      },
      clock: createRealClock(),
      log: createQuietLog(),
      signal: stop.signal,
      limits: { waitMs: 5 },
    });

  const running = feed();
  await begun.promise;
  const failures = Array.from(
    { length: 10 },
    (_, n) => `Jan  5 10:00:0${n} web1 sshd[2]: Failed password for root from 2001:db8::${n + 1} port 5 ssh2\n`,
  );
  await appendFile(path, failures.slice(0, 6).join(''));
  await rename(path, `${path}.1`);
  await writeFile(path, failures.slice(6).join(''));
  await appendFile(path, 'Jan  5 10:01:00 web1 sshd[3]: Accepted password for root from 2001:db8::7 port 5 ssh2\n');
  await done.promise;
  stop.abort();
  await running;

  t.same(
    sent.map(({ title }) => title),
    [
      'SSH failures: 10 from 2001:db8::/64 within 10 min',
      'SSH failures: 10 for user root within 10 min',
      'SSH login: root from 2001:db8::7 (new source)',
    ],
  );
});
