import type { KvCache } from './kv-cache.ts';
import type { KvCounters } from './kv-rows.ts';

/** An entry as changes see it; null: there is none. */
export type Held = { bucket: string; key: string; revision: number; bytes: number; value?: string; damaged?: boolean };

/** What one job leaves: the last counters of its buckets and the last state of its entries. */
export type KvChanges = { counters: readonly KvCounters[]; held: readonly (readonly [name: string, held: Held | null])[] };

const bucketsMost = 1000;

/** A bucket's name has no NUL, so no two pairs look alike. */
export const entryName = (bucket: string, key: string): string => `${bucket}\0${key}`;

/**
 * What the writer knows of the tables without asking: the cached entries, the counters of buckets, and what jobs before it in the same commit
 * have left. Every write goes through it, so it is what the next commit will find.
 */
export function createKvKnown(cache: Pick<KvCache, 'peek'>) {
  const counters = new Map<string, KvCounters>();
  const ahead = { counters: new Map<string, KvCounters>(), held: new Map<string, Held | null>() };

  function drop(changes: KvChanges): void {
    for (const each of changes.counters) if (ahead.counters.get(each.bucket) === each) ahead.counters.delete(each.bucket);
    for (const [name, held] of changes.held) if (ahead.held.get(name) === held) ahead.held.delete(name);
  }

  return {
    counters: (bucket: string): KvCounters | undefined => ahead.counters.get(bucket) ?? counters.get(bucket),
    /** Undefined: the table must be asked. */
    held(bucket: string, key: string): Held | null | undefined {
      const changed = ahead.held.get(entryName(bucket, key));
      if (changed !== undefined) return changed;
      const entry = cache.peek(bucket, key);
      if (entry === undefined) return undefined;
      if (entry.value === null) return null;
      return { bucket, key, revision: entry.revision, bytes: Buffer.byteLength(key) + Buffer.byteLength(entry.value) };
    },
    /** A job has done its part; its commit is still to come. */
    advance(changes: KvChanges): void {
      for (const each of changes.counters) ahead.counters.set(each.bucket, each);
      for (const [name, held] of changes.held) ahead.held.set(name, held);
    },
    /** The commit has come, and the cache knows what it brought; what a later job has changed again stays ahead. */
    settle(changes: KvChanges): void {
      if (counters.size > bucketsMost) counters.clear();
      for (const each of changes.counters) counters.set(each.bucket, each);
      drop(changes);
    },
    /** It has failed, or says so: then it may still be durable. */
    forget(changes: KvChanges | null): void {
      counters.clear();
      if (changes) drop(changes);
    },
  };
}

export type KvKnown = ReturnType<typeof createKvKnown>;
