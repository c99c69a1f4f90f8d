import { type Clock, timestamp } from './clock.ts';
import type { Database, Tx } from './database.ts';
import { acceptBundle, changeBundle, changeConfig, changeEgress, changeOwner, changeStatus } from './plugin-changes.ts';
import type { Status } from './plugin-lifecycle.ts';
import { findPlugin, loadPlugin, readPlugins } from './plugin-rows.ts';
import type { Settle } from './safeguards.ts';

export type StoredStatus = Exclude<Status, 'verified'>;
export type ExitRecord = {
  generation: number;
  startedAt: string;
  endedAt: string;
  cause: string;
  code: number | null;
  signal: string | null;
  detail: string;
  stderrTail: string[];
  lastHostCall: string | null;
  version?: string | null; // what was stored before it was kept has none
};
/** The newest exit first. */
export type Health = { exits: ExitRecord[]; crashTimesMs: number[]; broken: boolean; generation: number };
/** What the operator consents to: verified bytes, and the exact text of the manifest that pins them. */
export type AcceptedBundle = {
  id: string;
  publisher: string;
  name: string;
  type: string;
  version: string;
  bundleSha256: string;
  artifactSha256: string;
  manifest: string;
  verifiedAt: string | null;
};
/** What a bundle may do: what its manifest asks for, narrowed or widened by what the operator set. */
export type Terms = { capabilities: readonly string[]; egress: readonly string[] };
/** `operatorEgress`: hosts that the operator set for a manifest which has no field for them. */
export type Offer = { bundle: AcceptedBundle; terms: Terms; operatorEgress: readonly string[] };
export type ConsentKind = 'install' | 'upgrade' | 'downgrade' | 'rollback' | 'transfer' | 'egress';
export type Consent = Terms & {
  time: string;
  kind: ConsentKind;
  actor: string | null;
  publisher: string;
  version: string;
  bundleSha256: string;
};
export type PluginRecord = AcceptedBundle & {
  owner: string; // the publisher whose the id is
  status: StoredStatus;
  config: Record<string, unknown>;
  operatorEgress: readonly string[];
  acceptedBy: string | null;
  installedAt: string | null;
  activatedAt: string | null;
  disabledAt: string | null;
  createdAt: string;
  updatedAt: string;
  health: Health;
  consents: Consent[]; // the newest first
  former: AcceptedBundle[]; // what can be gone back to, the newest first
};
export type StatusEntry = { actor: string | null; reason?: string; code?: string };
export type PluginStore = ReturnType<typeof createPluginStore>;

const exitsKept = 20;
const crashTimesKept = 20;

/** The only SQL about plugins. Every change commits with its audit row, and with the note of its caller. */
export function createPluginStore({ database, clock }: { database: Database; clock: Clock }) {
  const change = (settle: Settle | undefined, job: (tx: Tx, now: string) => Promise<PluginRecord>): Promise<PluginRecord> =>
    database.write(async (tx) => {
      const record = await job(tx, timestamp(clock));
      await settle?.(tx);
      return record;
    });
  return {
    all: () => readPlugins(database.read),
    get: (id: string) => findPlugin(database.read, id),
    /** From verified to installed. The same bundle again changes nothing; another one is an upgrade and needs `setBundle`. */
    accept: (offer: Offer, actor: string | null, settle?: Settle) => change(settle, (tx, now) => acceptBundle(tx, offer, actor, now)),
    /** Decides by the status at the time of the commit, whatever the caller saw before. */
    setStatus: (id: string, status: Status, entry: StatusEntry, settle?: Settle) =>
      change(settle, (tx, now) => changeStatus(tx, id, status, entry, now)),
    /** An upgrade, downgrade or rollback that the operator consented to. */
    setBundle: (kind: 'upgrade' | 'rollback', offer: Offer, actor: string | null, settle?: Settle) =>
      change(settle, (tx, now) => changeBundle(tx, kind, offer, actor, now)),
    /** The id belongs to another publisher from now on; the accepted bundle stays until an upgrade. */
    setOwner: (id: string, owner: string, actor: string | null, settle?: Settle) =>
      change(settle, (tx, now) => changeOwner(tx, id, owner, actor, now)),
    setConfig: (id: string, config: Record<string, unknown>, actor: string | null, settle?: Settle) =>
      change(settle, (tx, now) => changeConfig(tx, id, config, actor, now)),
    /** The hosts of a plugin whose manifest has no field for them. */
    setEgress: (id: string, hosts: readonly string[], actor: string | null, settle?: Settle) =>
      change(settle, (tx, now) => changeEgress(tx, id, hosts, actor, now)),
    saveHealth: (id: string, health: Health) => database.write((tx) => saveHealth(tx, id, health)),
    /** Counts up for ever, also over restarts of the service: a fact of an old process is never taken for one of a new. */
    nextGeneration: (id: string) => database.write((tx) => nextGeneration(tx, id)),
  };
}

async function saveHealth(tx: Tx, id: string, health: Health): Promise<void> {
  const { changes } = await tx.run(
    'UPDATE plugins SET exits = ?, crash_times_ms = ?, broken = ?, generation = max(generation, ?) WHERE id = ?',
    [
      JSON.stringify(health.exits.slice(0, exitsKept)),
      JSON.stringify(health.crashTimesMs.slice(-crashTimesKept)),
      health.broken ? 1 : 0,
      health.generation,
      id,
    ],
  );
  if (changes === 0) await loadPlugin(tx, id);
}

async function nextGeneration(tx: Tx, id: string): Promise<number> {
  await tx.run('UPDATE plugins SET generation = generation + 1 WHERE id = ?', [id]);
  return (await loadPlugin(tx, id)).health.generation;
}
