export type KvEntry = Readonly<{ value: string | null; revision: number }>;
export type KvCache = {
  get(bucket: string, key: string): KvEntry | undefined;
  /** The same, without counting as a use. */
  peek(bucket: string, key: string): KvEntry | undefined;
  /** To be taken before a read that `fill` is to remember. */
  stamp(): number;
  /** Remembers what was read, unless something was written since: then the read may be older than the write. */
  fill(bucket: string, key: string, entry: KvEntry, stamp: number): void;
  commit(bucket: string, key: string, entry: KvEntry): void;
  forget(bucket: string, key: string): void;
};

const overhead = 128; // of an entry, counted like characters
const longestKept = 128 * 1024; // one large value must not push out thousands of small ones

type Kept = { bucket: string; key: string; entry: KvEntry; size: number; used: boolean };

/**
 * The entries that were used last. Every write goes through this process, so what it holds is what is committed. A read only leaves a mark,
 * because moving the entry to the end costs more than finding it: the oldest goes unless it has the mark, which buys it one more round.
 */
export function createKvCache(most: number): KvCache {
  const buckets = new Map<string, Map<string, Kept>>();
  const order = new Set<Kept>();
  let size = 0;
  let writes = 0;

  function remove(bucket: string, key: string): void {
    const entries = buckets.get(bucket);
    const old = entries?.get(key);
    if (!entries || !old) return;
    size -= old.size;
    order.delete(old);
    entries.delete(key);
    if (entries.size === 0) buckets.delete(bucket);
  }

  function keep(bucket: string, key: string, entry: KvEntry): void {
    remove(bucket, key);
    const kept = { bucket, key, entry, size: overhead + bucket.length + key.length + (entry.value?.length ?? 0), used: false };
    if (kept.size > longestKept) return;
    const entries = buckets.get(bucket) ?? new Map<string, Kept>();
    buckets.set(bucket, entries);
    entries.set(key, kept);
    order.add(kept);
    size += kept.size;
    if (size > most) shrink();
  }

  function shrink(): void {
    for (const oldest of order) {
      if (size <= most) return;
      if (!oldest.used) {
        remove(oldest.bucket, oldest.key);
        continue;
      }
      oldest.used = false;
      order.delete(oldest);
      order.add(oldest); // a Set keeps the order of insertion, and this loop comes to it again
    }
  }

  return {
    get(bucket, key) {
      const kept = buckets.get(bucket)?.get(key);
      if (!kept) return undefined;
      kept.used = true;
      return kept.entry;
    },
    peek: (bucket, key) => buckets.get(bucket)?.get(key)?.entry,
    stamp: () => writes,
    fill(bucket, key, entry, stamp) {
      if (stamp === writes) keep(bucket, key, entry);
    },
    commit(bucket, key, entry) {
      writes += 1;
      keep(bucket, key, entry);
    },
    forget(bucket, key) {
      writes += 1;
      remove(bucket, key);
    },
  };
}
