import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { Piscina } from 'piscina';
import { HostError } from '../protocol/errors.ts';
import type { VerifyJob, VerifyResult } from './verify-worker.ts';

const deadlineMs = 60_000;

const ownWorker = new URL(`./verify-worker${extname(import.meta.filename)}`, import.meta.url);

/** Threads that read, hash, unpack and parse what is large and somebody else's, so that the event loop does not. */
export function createVerifyPool({ worker = null, idleMs = 10_000 }: { worker?: URL | null; idleMs?: number } = {}) {
  const threads = Math.max(1, availableParallelism() - 1);
  const pool = new Piscina({
    filename: (worker ?? ownWorker).href,
    minThreads: 0, // each keeps 20 MiB while it waits
    maxThreads: threads,
    idleTimeout: idleMs,
    execArgv: [],
  });
  return {
    /** How many jobs of one caller may wait or run: one more than there are threads, so that others come in between and none waits out its time. */
    width: threads + 1,
    async run<Job extends VerifyJob>(job: Job): Promise<VerifyResult<Job>> {
      const signal = AbortSignal.timeout(deadlineMs);
      return pool.run(job, { signal }).catch((error: unknown) => {
        if (!signal.aborted) throw error;
        throw new HostError('unavailable', `a check took over ${deadlineMs / 1000} s`, {
          rule: 'check-too-slow',
          hint: 'see what keeps this machine’s disk or processor busy, and try again',
        });
      });
    },
    threads: (): number => pool.threads.length,
    close: (): Promise<void> => pool.destroy(),
  };
}
export type VerifyPool = ReturnType<typeof createVerifyPool>;

/** Runs a job for each item, so many at a time; the results keep the order of the items. */
export async function mapSome<Item, Result>(items: readonly Item[], most: number, job: (item: Item) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  const rest = items.entries(); // shared: each takes the next one
  const work = async (): Promise<void> => {
    for (const [at, item] of rest) results[at] = await job(item);
  };
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, work));
  return results;
}
