import { readFile } from 'node:fs/promises';
import { HostError } from '../protocol/errors.ts';
import { parseJson } from '../protocol/parse-json.ts';
import { type Head, holdsHead, type Verdict, verifyChain } from './audit-chain.ts';
import type { Clock, Timer } from './clock.ts';
import type { Database, Sql } from './database.ts';
import { replaceFile } from './durable-file.ts';
import { noFailpoints, type Reach } from './failpoints.ts';
import type { Log } from './log.ts';

const intervalMs = 500; // with the time that writing takes the file stays less than a second behind

/** Null when there is none yet. */
export async function readHeadFile(file: string): Promise<Head | null> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw unreadable(error);
  });
  if (text === null) return null;
  try {
    const { seq, hash } = parseJson(text) as Partial<Record<keyof Head, unknown>>; // checked in the next line
    if (Number.isSafeInteger(seq) && typeof hash === 'string' && /^[0-9a-f]{64}$/.test(hash)) return { seq: Number(seq), hash };
  } catch {}
  throw unreadable();
}

/** The whole chain against the head in the file, and against one that was kept elsewhere if there is one. */
export async function verifyKept(sql: Sql, file: string, against: Head | null): Promise<Verdict> {
  const recorded = await readHeadFile(file);
  return verifyChain(
    sql,
    [recorded, against].filter((head) => head !== null),
  );
}

/**
 * Keeps the head of the chain in a file of its own, where a cut of the table does not reach. A table that does not hold the recorded head
 * has lost rows: then the file is evidence, and is left as it is.
 */
export function createHeadFile(deps: { file: string; database: Database; clock: Clock; log: Log; reach?: Reach }): {
  stop(): Promise<void>;
} {
  const { file, database, clock, log, reach = noFailpoints.reach } = deps;
  let written = -1;
  let trusted: boolean | undefined;
  let failing = false; // told once, not twice a second
  let stopped = false;
  let timer: Timer | undefined;

  async function follow(): Promise<void> {
    try {
      trusted ??= await matches(file, database, log);
      const head = database.head();
      if (!trusted || head.seq === written) return;
      await replaceFile(file, `${JSON.stringify(head)}\n`, reach);
      written = head.seq;
      if (failing) log.info('audit.head.recovered', { seq: head.seq });
      failing = false;
    } catch (error) {
      if (!failing)
        log.warn('audit.head.failed', { error: String(error), hint: 'free space on the disk of the data directory and check its owner' });
      failing = true;
    }
  }
  async function loop(): Promise<void> {
    await follow();
    if (!stopped) {
      timer = clock.timer(intervalMs, () => {
        running = loop();
      });
    }
  }
  let running = loop();

  return {
    async stop() {
      stopped = true;
      timer?.cancel();
      await running;
      await follow();
    },
  };
}

async function matches(file: string, database: Database, log: Log): Promise<boolean> {
  const recorded = await readHeadFile(file);
  if (recorded === null || (await holdsHead(database.read, recorded))) return true;
  log.error('audit.head.lost', {
    recorded: recorded.seq,
    present: database.head().seq,
    hint: 'the audit lost rows: run `lattice audit verify`, keep copies of lattice.db and audit.head, then move audit.head away',
  });
  return false;
}

const unreadable = (cause?: unknown): HostError =>
  new HostError(
    'storage-unavailable',
    'the recorded head of the audit cannot be read',
    { hint: 'restore audit.head from a backup, or move it away: what was cut off before cannot be found then' },
    { cause },
  );
