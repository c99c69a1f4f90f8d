import { exitCodes } from '../protocol/exit-codes.ts';
import type { Fact } from './runtime-states.ts';

export const restartPolicy = {
  intensity: 5, // crashes within the period: then the budget is spent
  periodMs: 10 * 60_000,
  backoffMs: 1_000,
  backoffMostMs: 60_000,
  jitter: 0.2,
} as const;

/** Why a child ended, as told to the operator. */
export const causes = [
  'stopped', // we asked it to
  'exit-code',
  'signal',
  'hung',
  'not-ready-in-time',
  'protocol-violation',
  'out-of-memory',
  'configuration',
  'artifact-refused',
  'load-failed',
  'sandbox-unavailable', // too little of it is there
  'sandbox-failed', // it was found whole, and could not be set up this time
  'trust-lost',
  'bundle-gone',
  'spawn-failed',
  'storage-unavailable', // no start is recorded, so none happens: the disk's fault, not the plugin's
] as const;
export type Cause = (typeof causes)[number];

const fatalCauses: ReadonlySet<Cause> = new Set(['configuration', 'artifact-refused', 'sandbox-unavailable', 'trust-lost', 'bundle-gone']);

/** Which cause an exit code speaks for. */
export function causeOfExit(code: number | null, signal: string | null): Cause {
  if (signal !== null) return 'signal';
  if (code === exitCodes.configuration) return 'configuration';
  if (code === exitCodes.artifactRefused) return 'artifact-refused';
  if (code === exitCodes.loadFailed) return 'load-failed';
  return 'exit-code';
}

/** A start that the disk refused is tried again and again, and is no crash of the plugin: it must not use up its budget. */
export const isCounted = (cause: Cause): boolean => cause !== 'storage-unavailable';

/** Only crashes within the period count, so ten minutes of health give the whole budget back. */
export const recentCrashes = (crashTimesMs: readonly number[], nowMs: number): number[] =>
  crashTimesMs.filter((at) => at <= nowMs && nowMs - at < restartPolicy.periodMs);

/** Turns an exit into the fact that the state table knows. `crashTimesMs` includes this one. */
export function judgeExit(wantedRunning: boolean, cause: Cause, crashTimesMs: readonly number[], nowMs: number): Fact {
  if (fatalCauses.has(cause)) return 'fatal';
  if (!wantedRunning) return 'exited';
  if (!isCounted(cause)) return 'crashed';
  return recentCrashes(crashTimesMs, nowMs).length >= restartPolicy.intensity ? 'exhausted' : 'crashed';
}

/** 1 s, doubling to 60 s, give or take a fifth. `random` is in [0, 1). */
export function backoffDelayMs(crashes: number, random: number): number {
  const base = Math.min(restartPolicy.backoffMs * 2 ** Math.max(0, crashes - 1), restartPolicy.backoffMostMs);
  return Math.round(base * (1 - restartPolicy.jitter + 2 * restartPolicy.jitter * random));
}
