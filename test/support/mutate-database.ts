import { hash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import { verifyChain } from '../../supervisor/audit-chain.ts';
import { readHeadFile } from '../../supervisor/audit-head.ts';
import { createRealClock } from '../../supervisor/clock.ts';
import { findDamagedEntries } from '../../supervisor/kv-checksums.ts';
import { openConnection, openModes } from '../../supervisor/sqlite-connection.ts';
import { openOrSetAside } from '../../supervisor/storage/open-or-set-aside.ts';
import { readSafeMode } from '../../supervisor/storage/set-aside.ts';
import { makeDatabase } from './make-database.ts';
import { createQuietLog } from './quiet-log.ts';

export type Outcome =
  | 'set aside'
  | 'refused'
  | 'found by audit verify'
  | 'found by db check'
  | 'nothing changed'
  | 'a value changed'
  | 'MISSED';
export type Mutated = { seed: number; what: string; outcome: Outcome; rule: string };

type Content = { audit: string; counts: string; values: string };

const tables = ['plugins', 'kv_buckets', 'kv_entries', 'tokens', 'outbox', 'consents', 'former_bundles', 'market_index', 'audit'];

/** The same numbers for the same seed, so that a failure can be looked at again. */
export function createRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** A closed database, and the files of one that was killed with its log full. */
export async function prepareMutations(folder: string): Promise<{ run(seed: number): Promise<Mutated> }> {
  const [closed, killed, work] = ['closed', 'killed', 'work'].map((name) => join(folder, name)) as [string, string, string];
  const database = await makeDatabase(closed);
  await cp(closed, killed, { recursive: true });
  await database.close();
  const content = { closed: await digestContent(closed), killed: await digestContent(killed) };

  return {
    async run(seed) {
      const random = createRandom(seed);
      const origin = random(2) === 0 ? 'closed' : 'killed';
      await rm(work, { recursive: true, force: true });
      await mkdir(work, { mode: 0o700 });
      for (const name of await readdir(join(folder, origin)))
        if (!name.endsWith('-shm')) await cp(join(folder, origin, name), join(work, name));
      const target = origin === 'killed' && random(3) > 0 ? 'lattice.db-wal' : 'lattice.db';
      const bytes = await readFile(join(work, target));
      const { changed, how } = mutate(bytes, random);
      await writeFile(join(work, target), changed);
      const what = `${origin}: ${target}: ${how}`;
      return { seed, what, ...(await observe(work, changed, target, content[origin])) };
    },
  };
}

function mutate(bytes: Buffer, random: (below: number) => number): { changed: Buffer; how: string } {
  const changed = Buffer.from(bytes);
  const at = random(bytes.length);
  const length = Math.min(bytes.length - at, 1 + random(4096));
  const kind = random(10);
  if (kind === 0) return { changed: changed.subarray(0, at), how: `cut at ${at}` };
  if (kind === 1) return { changed: changed.subarray(0, 0), how: 'emptied' };
  if (kind === 2) return { changed: changed.fill(0, at, at + length), how: `zeros at ${at}, ${length} bytes` };
  if (kind === 3) {
    for (let byte = at; byte < at + length; byte++) changed[byte] = random(256);
    return { changed, how: `garbage at ${at}, ${length} bytes` };
  }
  if (kind === 4) {
    const from = random(bytes.length);
    bytes.copy(changed, at, from, from + length);
    return { changed, how: `${length} bytes at ${at} from ${from}` };
  }
  changed[at] = (changed[at] ?? 0) ^ (1 << random(8));
  return { changed, how: `a bit at ${at}` };
}

async function observe(work: string, changed: Buffer, target: string, content: Content): Promise<{ outcome: Outcome; rule: string }> {
  const [file, headFile] = [join(work, 'lattice.db'), join(work, 'audit.head')];
  const log = createQuietLog();
  const opened = await openOrSetAside({ file, headFile, clock: createRealClock(), log }).catch((error: unknown) => error);
  if (opened instanceof Error) {
    const { rule } = opened instanceof HostError ? opened.details : {};
    const kept = (await readFile(join(work, target))).equals(changed);
    return { outcome: opened instanceof HostError && kept ? 'refused' : 'MISSED', rule: String(rule ?? opened.message) };
  }
  const { database, safeMode } = opened as Awaited<ReturnType<typeof openOrSetAside>>; // it is no error
  if (safeMode !== null) {
    const name = `${safeMode.set_aside}${target.slice('lattice.db'.length)}`;
    const kept = (await readFile(join(work, name))).equals(changed) && (await readSafeMode(work)) !== null;
    return { outcome: kept ? 'set aside' : 'MISSED', rule: safeMode.rule };
  }
  const verdict = await verifyChain(database.read, await readHeadFile(headFile)).catch(() => ({ ok: false }));
  const entries = verdict.ok ? await findDamagedEntries(database.read) : [];
  await database.close();
  if (!verdict.ok) return { outcome: 'found by audit verify', rule: '' };
  if (entries.length > 0) return { outcome: 'found by db check', rule: 'damaged-entry' };
  return { outcome: compare(await digestContent(work), content), rule: '' };
}

/** SQLite has no checksum for what a cell holds: outside the audit and the entries of the store a change may stay unseen there. */
function compare(found: Content, made: Content): Outcome {
  if (found.audit !== made.audit || found.counts !== made.counts) return 'MISSED';
  return found.values === made.values ? 'nothing changed' : 'a value changed';
}

async function digestContent(dataDir: string): Promise<Content> {
  const connection = await openConnection(join(dataDir, 'lattice.db'), openModes.read);
  try {
    const rows = [];
    for (const table of tables) rows.push(await connection.all(`SELECT * FROM ${table} ORDER BY 1, 2`));
    const digest = (value: unknown): string => hash('sha256', JSON.stringify(value));
    return { audit: digest(rows.at(-1)), counts: digest(rows.map((found) => found.length)), values: digest(rows) };
  } finally {
    await connection.close();
  }
}
