import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Clock } from '../../../supervisor/clock.ts';
import { createRealClock } from '../../../supervisor/clock.ts';
import type { FeedLine } from '../../../supervisor/feed/feed-source.ts';
import { createJournalSource } from '../../../supervisor/feed/read-journal.ts';
import { createQuietLog } from '../../support/quiet-log.ts';
import { testFolder } from '../../support/test-folder.ts';

/** Stands in for journalctl: notes its arguments, then does what the test says. */
async function writeFake(t: Test, body: string): Promise<{ command: string; calls: () => Promise<string[][]> }> {
  const folder = testFolder(t);
  const command = join(folder, 'journalctl.mjs'); // a name that says what it is, for loaders that the test runner puts into every Node
  const notes = join(folder, 'calls');
  await writeFile(
    command,
    `#!${process.execPath}
import { appendFileSync, readFileSync, writeSync } from 'node:fs';
const args = process.argv.slice(2);
appendFileSync(${JSON.stringify(notes)}, JSON.stringify(args) + '\\n');
const nth = readFileSync(${JSON.stringify(notes)}, 'utf8').trim().split('\\n').length;
const print = (cursor, message) => writeSync(1, JSON.stringify({ __CURSOR: cursor, MESSAGE: message, SYSLOG_IDENTIFIER: 'sshd', _UID: '0' }) + '\\n');
const follow = () => setInterval(() => {}, 1000);
const isTail = args.includes('--follow');
${body}
`,
  );
  await chmod(command, 0o755);
  return {
    command,
    calls: async () =>
      (await readFile(notes, 'utf8'))
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
  };
}

/** Time without waiting: every timer is due at once. */
const hurried: Clock = { ...createRealClock(), timer: (_delayMs, run) => ({ cancel: clearImmediate.bind(null, setImmediate(run)) }) };

function start(t: Test, command: string, cursor: string | null, fromStart = false) {
  const stop = new AbortController();
  const log = createQuietLog();
  const lines: FeedLine[] = [];
  const places: string[] = [];
  let waiting: { count: number; resolve: () => void } | null = null;
  const done = createJournalSource({ clock: hurried, log, fromStart, command }).read({
    cursor,
    signal: stop.signal,
    async onChunk(chunk) {
      lines.push(...chunk.lines);
      places.push(chunk.cursor);
      if (waiting && lines.length >= waiting.count) waiting.resolve();
    },
  });
  done.catch(() => waiting?.resolve());
  const end = async () => {
    stop.abort();
    await done.catch(() => {});
  };
  t.teardown(end);
  const come = (count: number) =>
    new Promise<FeedLine[]>((resolve) => {
      waiting = { count, resolve: () => resolve(lines) };
      if (lines.length >= count) resolve(lines);
    });
  return { come, places, done, end, log };
}

t.test('given no cursor, when the journal is read, then its end is looked up first and read on from', async (t) => {
  const { command, calls } = await writeFake(
    t,
    `if (!isTail) print('s=1;i=9', 'last'); else { print('s=1;i=a', 'one'); print('s=1;i=b', 'two'); follow(); }`,
  );
  const journal = start(t, command, null);

  const lines = await journal.come(2);

  t.match(lines, [{ id: 's=1;i=a', cursor: 's=1;i=a', text: /"MESSAGE":"one"/ }, { cursor: 's=1;i=b' }]);
  t.equal(journal.places[0], 's=1;i=9');
  const [first, second] = await calls();
  t.ok(first?.includes('--lines=1'));
  t.ok(second?.includes('--after-cursor=s=1;i=9') && second.includes('--no-tail') && second.includes('--identifier=sshd-session'));
});

t.test('given an empty journal, when it is read, then only what is added comes', async (t) => {
  const { command, calls } = await writeFake(t, `if (isTail) { print('s=1;i=a', 'one'); follow(); }`);
  await start(t, command, null).come(1);
  t.ok((await calls())[1]?.includes('--lines=0'));
});

t.test('given --from-start, when the journal is read, then all of it comes', async (t) => {
  const { command, calls } = await writeFake(t, `print('s=1;i=a', 'one'); follow();`);
  await start(t, command, null, true).come(1);
  const [first] = await calls();
  t.ok(first?.includes('--no-tail') && !first.some((argument) => argument.startsWith('--after-cursor')));
});

t.test('given a journalctl that ends, when lines had come, then it is run again from the last of them', async (t) => {
  const { command, calls } = await writeFake(
    t,
    `print('s=1;i=' + nth, 'line ' + nth); if (nth === 3) follow(); else process.exitCode = 1;`,
  );
  const journal = start(t, command, 's=1;i=0');
  await journal.come(3);
  t.same(
    (await calls()).map((call) => call.find((argument) => argument.startsWith('--after-cursor='))),
    ['--after-cursor=s=1;i=0', '--after-cursor=s=1;i=1', '--after-cursor=s=1;i=2'],
  );
});

t.test('given lines that are no entries or too long, when they are read, then they are passed over', async (t) => {
  const { command } = await writeFake(
    t,
    `writeSync(1, 'junk\\n{"a":1}\\n{"__CURSOR":7}\\n'); print('s=1;i=a', 'x'.repeat(100000)); print('s=1;i=b', 'é漢'); follow();`,
  );
  const lines = await start(t, command, 's=1;i=0').come(1);
  t.match(lines, [{ cursor: 's=1;i=b', text: /é漢/ }]);
  t.equal(lines.length, 1);
});

t.test('given the end of the reading, when the signal is aborted, then journalctl is gone', async (t) => {
  const { command } = await writeFake(t, `print('s=1;i=a', String(process.pid)); follow();`);
  const journal = start(t, command, 's=1;i=0');
  const [line] = await journal.come(1);
  await journal.end();
  t.throws(() => process.kill(Number(JSON.parse(line?.text ?? '{}').MESSAGE), 0), { code: 'ESRCH' });
});

t.test('given a machine without journalctl, when the journal is read, then that is told with the fix', async (t) => {
  await t.rejects(start(t, join(testFolder(t), 'none'), null).done, { code: 'unavailable', details: { hint: /log file/ } });
});

t.test(
  'given a user without the right, when the journal is read, then that is told with the fix, though journalctl would go on',
  async (t) => {
    const { command } = await writeFake(
      t,
      `writeSync(2, 'Hint: You are currently not seeing messages from other users and the system.\\n'); follow();`,
    );
    await t.rejects(start(t, command, 's=1;i=0').done, { code: 'forbidden', details: { hint: /systemd-journal/ } });
  },
);

t.test('given a machine without a journal, when it is read, then that is told with the fix, though journalctl would go on', async (t) => {
  const { command } = await writeFake(t, `writeSync(2, 'No journal files were found.\\n'); follow();`);
  await t.rejects(start(t, command, null).done, { code: 'unavailable', details: { hint: /log file/ } });
});

t.test('given a cursor that the journal does not know, when it is read, then that is told', async (t) => {
  const { command } = await writeFake(t, `writeSync(2, 'Failed to seek to cursor: Invalid argument\\n'); process.exitCode = 1;`);
  await t.rejects(start(t, command, 's=1;i=0').done, { code: 'invalid-params' });
});

t.test('given a journalctl that always ends at once, when the journal is read, then it is given up with what it said', async (t) => {
  const { command, calls } = await writeFake(t, `writeSync(2, 'Something is wrong.\\n'); process.exitCode = 1;`);
  await t.rejects(start(t, command, 's=1;i=0').done, { code: 'unavailable', message: /Something is wrong/ });
  t.equal((await calls()).length, 6);
});

for (const cursor of ['', '--root=/x', 's=1 --flush', 's=1\n', 'x'.repeat(600)]) {
  t.test(
    `given the cursor ${JSON.stringify(cursor.slice(0, 20))}, when the journal is read from it, then it is refused before anything is run`,
    async (t) => {
      await t.rejects(start(t, '/nonexistent', cursor).done, { code: 'invalid-params' });
    },
  );
}
