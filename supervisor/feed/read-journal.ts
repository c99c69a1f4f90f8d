import { execa } from 'execa';
import { HostError } from '../../protocol/errors.ts';
import { parseJson } from '../../protocol/parse-json.ts';
import { type Clock, delay } from '../clock.ts';
import type { Log } from '../log.ts';
import type { FeedLine, FeedSource, ReadOptions } from './feed-source.ts';
import { createLineSplitter } from './split-lines.ts';

export type JournalOptions = { clock: Clock; log: Log; fromStart?: boolean; command?: string };

const maxLineBytes = 64 * 1024;
const triesWithoutLine = 5;
const firstDelayMs = 1000;
const longestDelayMs = 30_000;
const searchPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const instead = 'feed a log file instead, such as /var/log/auth.log';
const cursorPattern = /^[a-z]=[0-9a-zA-Z=;_-]{1,500}$/;

// The fields that tell who wrote an entry are journald's own; the plugin looks at them, so they must come along.
const fields = ['MESSAGE', 'SYSLOG_IDENTIFIER', 'SYSLOG_PID', '_PID', '_UID', '_COMM', '_EXE', '_TRANSPORT', '_SYSTEMD_UNIT'];

/** The journal's entries that say they are of sshd, as JSON, one a line. */
export function createJournalSource(options: JournalOptions): FeedSource {
  return { label: 'journal', read: (read) => readJournal({ ...options, ...read }) };
}

const format = ['--output=json', `--output-fields=${fields.join(',')}`];
const followArguments = (cursor: string | null, fromStart: boolean): string[] => [
  ...format,
  '--follow',
  ...(cursor !== null ? ['--no-tail', `--after-cursor=${cursor}`] : fromStart ? ['--no-tail'] : ['--lines=0']),
  '--identifier=sshd',
  '--identifier=sshd-session',
  '--identifier=sshd-auth',
];

/** Runs journalctl until the signal is aborted, and again from the last entry when it ends. */
async function readJournal({
  clock,
  log,
  fromStart = false,
  command = 'journalctl',
  cursor: start,
  signal,
  onChunk,
}: JournalOptions & ReadOptions): Promise<void> {
  if (start !== null && !cursorPattern.test(start)) {
    throw new HostError('invalid-params', 'the stored place is not one in the journal', {
      hint: 'delete the stored cursor of this feed to begin anew',
    });
  }
  let cursor = start;
  if (cursor === null && !fromStart) {
    // The last entry there is, of whatever program: a place to come back to before the first line of sshd.
    const end = await runOnce(command, [...format, '--lines=1'], signal, async (lines) => {
      cursor = lines.at(-1)?.cursor ?? null;
    });
    refuseForGood(end);
    if (cursor !== null) await onChunk({ lines: [], cursor });
  }
  let failures = 0;
  while (!signal.aborted) {
    const end = await runOnce(command, followArguments(cursor, fromStart), signal, async (lines) => {
      failures = 0;
      cursor = lines.at(-1)?.cursor ?? cursor;
      await onChunk({ lines, cursor: cursor ?? '' });
    });
    if (signal.aborted) return;
    refuseForGood(end);
    failures++;
    const delayMs = Math.min(firstDelayMs * 2 ** (failures - 1), longestDelayMs);
    log.warn('feed.journal-ended', { exitCode: end.exitCode, stderr: end.stderr.slice(-500), delayMs });
    if (failures > triesWithoutLine)
      throw new HostError('unavailable', `journalctl ends at once: ${end.stderr.slice(-500)}`, {
        hint: 'run it by hand to see why, or feed a log file',
      });
    await delay(clock, delayMs, signal).catch(() => {});
  }
}

type End = { exitCode: number | null; code: string | null; stderr: string };

async function runOnce(
  command: string,
  args: readonly string[],
  signal: AbortSignal,
  take: (lines: FeedLine[]) => Promise<void>,
): Promise<End> {
  const child = execa(command, args, {
    extendEnv: false,
    env: { PATH: searchPath, LC_ALL: 'C', SYSTEMD_COLORS: '0' },
    buffer: false,
    reject: false,
    killDescendants: true,
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    cancelSignal: signal,
    forceKillAfterDelay: 2000,
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString('utf8')).slice(-4096);
    if (findHopeless(stderr)) child.kill(); // it would follow on, and show nothing
  });
  const splitter = createLineSplitter(0, maxLineBytes);
  try {
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      const lines = splitter.push(chunk).flatMap(({ text }) => toFeedLine(text));
      if (lines.length > 0) await take(lines);
    }
  } catch (error) {
    if (!signal.aborted) {
      child.kill();
      await child;
      throw error;
    }
  }
  const result = await child;
  return { exitCode: result.exitCode ?? null, code: result.code ?? null, stderr: stderr.trim() };
}

/** An entry that cannot be read (it was longer than is kept) has no place of its own either; the next one's covers it. */
function toFeedLine(text: string): FeedLine[] {
  try {
    const cursor = (parseJson(text) as { __CURSOR?: unknown } | null)?.__CURSOR;
    return typeof cursor === 'string' && cursorPattern.test(cursor) ? [{ text, id: cursor, cursor }] : [];
  } catch {
    return [];
  }
}

/** What journalctl says on stderr when it will never show anything, though it goes on running. */
const hopeless: readonly [RegExp, () => HostError][] = [
  [
    /seek to cursor/i,
    () =>
      new HostError('invalid-params', 'the journal does not know the stored place', {
        hint: 'delete the stored cursor of this feed to begin anew',
      }),
  ],
  [
    /not seeing messages from other users|insufficient permissions/i,
    () => new HostError('forbidden', 'this user may not read the system journal', { hint: 'add the user to the group systemd-journal' }),
  ],
  [/no journal files were found/i, () => new HostError('unavailable', 'there is no journal on this machine', { hint: instead })],
];
const findHopeless = (stderr: string): HostError | undefined => hopeless.find(([pattern]) => pattern.test(stderr))?.[1]();

function refuseForGood({ code, stderr }: End): void {
  if (code === 'ENOENT') throw new HostError('unavailable', 'there is no journalctl on this machine', { hint: instead });
  if (code === 'EACCES') throw new HostError('forbidden', 'this user may not run journalctl', { hint: instead });
  const error = findHopeless(stderr);
  if (error) throw error;
}
