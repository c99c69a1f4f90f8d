import type { TimerHandle, Timers } from '../protocol/deadlines.ts';
import type { WorkMeter } from '../protocol/work.ts';

/** Something that is done piece by piece; between two pieces others have their turn. What has been done is told to the meter by `spend`. */
export type Pieces<Result> = (spend: WorkMeter['spend']) => AsyncGenerator<void, Result, void>;
export type Turns = {
  /** Runs when it is this owner's turn; rejects with the signal's reason as soon as that is aborted. */
  run<Result>(owner: string, signal: AbortSignal, pieces: Pieces<Result>): Promise<Result>;
};
/** Does one piece; resolves in any case. */
type Job = () => Promise<void>;

/**
 * One piece at a time, in turn for each owner, so that whoever asks for much waits for itself: of one owner what came first ends before the
 * next begins. An owner whose meter is spent is passed over until it has something left.
 */
export function createTurns({ timers, meterOf }: { timers: Timers; meterOf(owner: string): WorkMeter }): Turns {
  const owners = new Map<string, Set<Job>>(); // whose turn is next stands first
  let isServing = false;
  let rest: TimerHandle | null = null;

  /** Null when nobody may go on now; when the first one may again, it is served. */
  function choose(): [owner: string, job: Job] | null {
    rest?.cancel();
    rest = null;
    let leastMs = Number.POSITIVE_INFINITY;
    for (const [owner, jobs] of owners) {
      const waitMs = meterOf(owner).waitMs();
      leastMs = Math.min(leastMs, waitMs);
      if (waitMs > 0) continue;
      for (const first of jobs) return [owner, first];
    }
    if (owners.size > 0) rest = timers.timer(leastMs, serve);
    rest?.rest?.();
    return null;
  }

  async function serve(): Promise<void> {
    if (isServing) return;
    isServing = true;
    for (let next = choose(); next !== null; next = choose()) {
      const [owner, job] = next;
      await job();
      giveWay(owner);
    }
    isServing = false;
  }

  /** Those who came during its turn go before its next one. */
  function giveWay(owner: string): void {
    const jobs = owners.get(owner);
    if (!jobs) return;
    owners.delete(owner);
    owners.set(owner, jobs);
  }

  function enter(owner: string, job: Job): void {
    const jobs = owners.get(owner) ?? new Set();
    owners.set(owner, jobs.add(job));
    void serve();
  }

  function leave(owner: string, job: Job): void {
    const jobs = owners.get(owner);
    jobs?.delete(job);
    if (jobs?.size === 0) owners.delete(owner);
  }

  return {
    run<Result>(owner: string, signal: AbortSignal, pieces: Pieces<Result>) {
      return new Promise<Result>((resolve, reject) => {
        const running = pieces(meterOf(owner).spend);
        const end = () => {
          signal.removeEventListener('abort', giveUp);
          leave(owner, job);
        };
        const giveUp = () => {
          end();
          void running.return(undefined as never).catch(() => {}); // after the piece under way; nobody sees what it returns
          reject(signal.reason);
        };
        const job = async () => {
          try {
            const { done, value } = await running.next();
            if (!done) return;
            end();
            resolve(value);
          } catch (thrown) {
            end();
            reject(thrown);
          }
        };
        if (signal.aborted) return reject(signal.reason);
        signal.addEventListener('abort', giveUp);
        enter(owner, job);
      });
    },
  };
}
