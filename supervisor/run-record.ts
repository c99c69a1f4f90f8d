import { asHostError, type ErrorCode } from '../protocol/errors.ts';
import { type Clock, timestamp } from './clock.ts';
import type { ExitRecord, Health } from './plugin-store.ts';
import type { ExitView } from './plugin-view.ts';
import { type Cause, isCounted, judgeExit, recentCrashes } from './restart-policy.ts';
import type { Exit } from './runner.ts';
import type { Fact } from './runtime-states.ts';

const exitsKept = 20;
export const stderrKept = 20;
const lineMost = 500;

/** What was seen of one run, for the day its end has to be explained. `fault` is what we saw before the exit, and why the exit will come. */
export type RunRecord = {
  startedAt: string;
  startedAtMs: number; // monotonic
  fault: { cause: Cause; detail: string } | null;
  stderrTail: string[];
  lastHostCall: string | null;
  version: string | null; // known once it is to run
  callsOpen: number;
  callsGivenUp: number; // since the last answer: their deadline had passed
  lastAnswerMs: number; // monotonic, to anything
};

export const beginRecord = (clock: Clock): RunRecord => ({
  startedAt: timestamp(clock),
  startedAtMs: clock.monotonicMs(),
  fault: null,
  stderrTail: [],
  lastHostCall: null,
  version: null,
  callsOpen: 0,
  callsGivenUp: 0,
  lastAnswerMs: clock.monotonicMs(),
});

export function keepStderr(record: RunRecord, text: string): void {
  record.stderrTail.push(text.slice(0, lineMost));
  if (record.stderrTail.length > stderrKept) record.stderrTail.shift();
}

export type Conclusion = { fact: Fact; health: Health; exit: ExitRecord; expected: boolean; message: string | null };

/** Judges an end: asked for by us, a crash that counts, one too many, or a cause that no restart mends. */
export function concludeRun(
  record: RunRecord,
  exit: Exit,
  context: {
    generation: number;
    stopping: boolean;
    wantedRunning: boolean;
    health: Health;
    clock: Clock;
    nowMs: number /* of the clock that crashes are counted on */;
  },
): Conclusion {
  const { generation, health, clock, nowMs } = context;
  const expected = context.stopping && record.fault === null;
  const cause = expected ? 'stopped' : (record.fault?.cause ?? exit.cause);
  const crashTimesMs = expected || !isCounted(cause) ? health.crashTimesMs : recentCrashes([...health.crashTimesMs, nowMs], nowMs);
  const fact = expected ? 'exited' : judgeExit(context.wantedRunning, cause, crashTimesMs, nowMs);
  const row: ExitRecord = {
    generation,
    startedAt: record.startedAt,
    endedAt: timestamp(clock),
    cause,
    code: exit.code,
    signal: exit.signal,
    detail: record.fault?.detail || exit.detail,
    stderrTail: exit.lastLines ? exit.lastLines.slice(-stderrKept).map((text) => text.slice(0, lineMost)) : record.stderrTail,
    lastHostCall: record.lastHostCall,
    version: record.version,
  };
  // The tries of a start that the disk refuses are one line, or they would push out what ended the process before them.
  const before = !isCounted(cause) && health.exits[0]?.cause === cause ? health.exits.slice(1) : health.exits;
  return {
    fact,
    expected,
    exit: row,
    health: { ...health, exits: [row, ...before].slice(0, exitsKept), crashTimesMs, broken: fact === 'exhausted' },
    message: expected ? null : describeExit(row),
  };
}

/** Why a process ended and how, in one line. */
export function describeEnd(row: Pick<ExitRecord, 'cause' | 'code' | 'signal' | 'detail'>): string {
  const how = row.signal !== null ? `signal ${row.signal}` : row.code !== null ? `exit code ${row.code}` : null;
  return [row.cause, how, row.detail].filter((part) => part !== null && part !== '').join(', ');
}

/** One line for the operator: which generation, why, and how it ended. */
export const describeExit = (row: ExitRecord): string => `generation ${row.generation} ended: ${describeEnd(row)}`;

export const viewExit = (row: ExitRecord): ExitView => ({
  generation: row.generation,
  started_at: row.startedAt,
  ended_at: row.endedAt,
  cause: row.cause,
  code: row.code,
  signal: row.signal,
  detail: row.detail,
  stderr_tail: row.stderrTail,
  last_host_call: row.lastHostCall,
  version: row.version ?? null,
});

/** The cause that stands for a start that threw. */
export function causeOfFailedStart(thrown: unknown): Cause {
  const { code, details } = asHostError(thrown);
  if (code === 'sandbox-unavailable') return details.passing === true ? 'sandbox-failed' : 'sandbox-unavailable';
  if (code === 'not-found') return 'bundle-gone';
  if (code === 'storage-unavailable') return 'storage-unavailable';
  return code === 'verification-failed' ? 'trust-lost' : 'spawn-failed';
}

/** What a caller is told of a start that was in vain. */
export function codeOfFailedStart(cause: string): ErrorCode {
  if (cause === 'trust-lost') return 'verification-failed';
  return cause === 'sandbox-unavailable' || cause === 'sandbox-failed' ? 'sandbox-unavailable' : 'unavailable';
}
