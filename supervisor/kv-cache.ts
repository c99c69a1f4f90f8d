import { entryName } from './kv-batch.ts';

export type KvEntry = Readonly<{ value: string | null; revision: number }>;
export type KvCache = {
  get(bucket: string, key: string): KvEntry | undefined;
  /** To be taken before a read that `fill` is to remember. */
  stamp(): number;
  /** Remembers what was read, unless something was written since: then the read may be older than the write. */
  fill(bucket: string, key: string, entry: KvEntry, stamp: number): void;
  commit(bucket: string, key: string, entry: KvEntry): void;
  forget(bucket: string, key: string): void;
};

const overhead = 128; // of an entry, counted like characters
const longestKept = 128 * 1024; // one large value must not push out thousands of small ones

/** The entries that were used last. Every write goes through this process, so what it holds is what is committed. */
export function createKvCache(most: number): KvCache {
  const entries = new Map<string, KvEntry>();
  let size = 0;
  let writes = 0;
  const sizeOf = (name: string, entry: KvEntry): number => overhead + name.length + (entry.value?.length ?? 0);

  function remove(name: string): void {
    const old = entries.get(name);
    if (old) size -= sizeOf(name, old);
    entries.delete(name);
  }

  function keep(name: string, entry: KvEntry): void {
    remove(name);
    if (sizeOf(name, entry) > longestKept) return;
    entries.set(name, entry);
    size += sizeOf(name, entry);
    for (const oldest of entries.keys()) {
      if (size <= most) return;
      remove(oldest);
    }
  }

  return {
    get(bucket, key) {
      const name = entryName(bucket, key);
      const entry = entries.get(name);
      if (entry) {
        entries.delete(name); // the last place in the order of a Map is that of the newest
        entries.set(name, entry);
      }
      return entry;
    },
    stamp: () => writes,
    fill(bucket, key, entry, stamp) {
      if (stamp === writes) keep(entryName(bucket, key), entry);
    },
    commit(bucket, key, entry) {
      writes += 1;
      keep(entryName(bucket, key), entry);
    },
    forget(bucket, key) {
      writes += 1;
      remove(entryName(bucket, key));
    },
  };
}
