import { readLogTime } from './read-log-time.ts';

/** `sshd`: a message of sshd. `other`: another program's. `not-believed`: says it is sshd's, but the journal's own fields say otherwise. */
export type LogLine = { program: 'sshd'; message: string; timeMs: number | null; time: string } | { program: 'other' | 'not-believed' };

const programs: ReadonlySet<string> = new Set(['sshd', 'sshd-session', 'sshd-auth']);
const unit = /^sshd?(?:@\S*)?\.service$/; // journalctl -o with-unit prints the unit where the others print the program

/** Reads one line of a log file or of the journal; null when it is neither. From the source `journal` only its JSON is taken. */
export function readLogLine(line: string, source: string): LogLine | null {
  if (line.startsWith('{')) return readJournalEntry(line);
  return source === 'journal' ? null : readSyslogLine(line);
}

/**
 * `TIME HOST PROGRAM[PID]: MESSAGE`. Time and host are always there, so the program is taken from its own place only: a host, a message
 * or a tag that merely contains `sshd[1]:` does not count.
 */
function readSyslogLine(line: string): LogLine | null {
  const stamp = readLogTime(line);
  if (stamp === null) return null;
  const [, tag, message] = /^\S+ (\S+?)(?:\[\d+\])?: (.*)$/s.exec(line.slice(stamp.length)) ?? [];
  if (tag === undefined || message === undefined) return { program: 'other' };
  return programs.has(tag) || unit.test(tag) ? { program: 'sshd', message, timeMs: stamp.timeMs, time: stamp.text } : { program: 'other' };
}

function readJournalEntry(line: string): LogLine | null {
  let entry: unknown;
  try {
    entry = JSON.parse(line);
  } catch {
    return null;
  }
  const fields = entry as Record<string, unknown>; // it began with {
  if (typeof fields.SYSLOG_IDENTIFIER !== 'string' || !programs.has(fields.SYSLOG_IDENTIFIER)) return { program: 'other' };
  if (!isFromSshd(fields)) return { program: 'not-believed' };
  const message = readMessage(fields.MESSAGE);
  if (message === null) return null;
  const micros =
    typeof fields.__REALTIME_TIMESTAMP === 'string' && /^\d{1,16}$/.test(fields.__REALTIME_TIMESTAMP)
      ? Number(fields.__REALTIME_TIMESTAMP)
      : null;
  const timeMs = micros === null ? null : Math.floor(micros / 1000);
  return { program: 'sshd', message, timeMs, time: timeMs === null ? 'an unknown time' : new Date(timeMs).toISOString() };
}

/**
 * Anyone may write `sshd` as the identifier of an entry. The fields with an underscore are journald's own: it takes them from the kernel.
 * Root wrote it (the part of sshd that decides runs as root), its executable is sshd's (where that is not recorded, its command name),
 * and it came by syslog: what a daemon prints to its stdout is cut into entries at line breaks, which a user name may hold.
 */
function isFromSshd(fields: Record<string, unknown>): boolean {
  if (fields._UID !== '0' || (fields._TRANSPORT !== 'syslog' && fields._TRANSPORT !== 'journal')) return false;
  if (typeof fields._EXE === 'string') return programs.has(fields._EXE.replace(/ \(deleted\)$/, '').replace(/^.*\//, ''));
  return typeof fields._COMM === 'string' && programs.has(fields._COMM);
}

/** journald gives a text with control characters or invalid UTF-8 as an array of bytes, and one that is too long as null. */
function readMessage(value: unknown): string | null {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value) || value.length > 8192 || !value.every((byte) => Number.isInteger(byte) && byte >= 0 && byte <= 255))
    return null;
  return new TextDecoder().decode(Uint8Array.from(value));
}
