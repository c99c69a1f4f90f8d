import type { HostError } from '../protocol/errors.ts';
import type { AuditEntry } from './audit.ts';
import { type Clock, type Timer, timestamp } from './clock.ts';
import type { Tx } from './database.ts';
import type { Log } from './log.ts';
import { errorNumber } from './sqlite-connection.ts';

/** Why nothing can be written at present, and since when. */
export type StorageFault = { since: string; rule: string; detail: string; hint: string };
type Untold = { since: string; rule: string; refused: number };

const logEveryMs = 1000; // a full disk fails batches by the thousand
const probeEveryMs = 1000; // so the service is ready again a second after the disk is
const tellEveryMs = 60_000; // a disk at its brim fails and works in turns: its rows must not be what fills it

/**
 * Watches commits fail. Until one works a small write is tried each second, so that the end is noticed without anybody's ask; then a row of
 * the audit tells since when nothing was recorded, and how much was refused.
 */
export function createCommitFaults({
  clock,
  log,
  write,
}: {
  clock: Clock;
  log: Log;
  write(job: (tx: Tx) => Promise<void>): Promise<void>;
}) {
  let fault: StorageFault | null = null;
  let untold: Untold | null = null;
  let toldAtMs = Number.NEGATIVE_INFINITY;
  let timer: Timer | undefined;
  let probing = false;
  let ended = false;
  let unlogged = 0;
  let loggedAtMs: number | undefined;

  function failed(error: HostError, batchItems: number): void {
    const items = batchItems - (probing ? 1 : 0); // nobody asked for the probe
    const { rule = 'commit-failed', hint = '' } = error.details;
    fault ??= { since: timestamp(clock), rule: String(rule), detail: error.message, hint: String(hint) };
    untold ??= { since: fault.since, rule: fault.rule, refused: 0 };
    untold.refused += items;
    unlogged += items;
    tryIn(probeEveryMs);
    if (loggedAtMs !== undefined && clock.monotonicMs() - loggedAtMs < logEveryMs) return;
    log.error('database.commit.failed', { error: error.message, sqlite: errorNumber(error), hint: error.details.hint, refused: unlogged });
    loggedAtMs = clock.monotonicMs();
    unlogged = 0;
  }

  function worked(): void {
    if (fault === null) return;
    log.info('database.commit.recovered', { since: fault.since, refused: unlogged });
    fault = null;
    loggedAtMs = undefined;
    unlogged = 0;
  }

  function tryIn(delayMs: number): void {
    if (ended || timer) return;
    timer = clock.timer(delayMs, () => {
      timer = undefined;
      void probe();
    });
    timer.rest?.();
  }

  async function probe(): Promise<void> {
    const waitMs = toldAtMs + tellEveryMs - clock.monotonicMs();
    if (fault === null && waitMs > 0) return tryIn(waitMs);
    const telling = waitMs > 0 ? null : untold;
    if (telling) untold = null;
    probing = true;
    try {
      await write(async (tx) => {
        await touch(tx);
        if (telling) tx.audit(describe(telling));
      });
      if (telling) toldAtMs = clock.monotonicMs();
    } catch {
      if (telling) untold = { ...telling, refused: telling.refused + (untold?.refused ?? 0) };
    } finally {
      probing = false;
    }
    if (untold !== null) tryIn(probeEveryMs);
  }

  return {
    failed,
    worked,
    fault: (): StorageFault | null => fault,
    end(): void {
      ended = true;
      timer?.cancel();
    },
  };
}

/** Writes a page without changing what it says. */
async function touch(tx: Tx): Promise<void> {
  const row = await tx.get<{ user_version: number }>('PRAGMA user_version');
  await tx.run(`PRAGMA user_version = ${row?.user_version ?? 0}`);
}

const describe = ({ since, rule, refused }: Untold): AuditEntry => ({
  kind: 'storage.recovered',
  code: 'storage-unavailable',
  rule,
  summary: JSON.stringify({ since, refused }),
});
