import type { HostCall, HostHandlers } from '../broker.ts';
import { readCosts } from '../database-turns.ts';
import type { KvStore } from '../kv-store.ts';
import type { Turns } from '../turns.ts';

type KvHandlers = Pick<HostHandlers, 'kv.get' | 'kv.list' | 'kv.put' | 'kv.delete'>;

export const bucketOf = (pluginId: string): string => `plugin:${pluginId}`;

/** Each plugin has a bucket of its own, by its verified id; an operator bucket can only be read, and only when the manifest names it. */
export const createKvHandlers = (store: KvStore, turns: Turns): KvHandlers => ({
  'kv.get': ({ key, bucket }, call) => {
    const from = bucket ?? bucketOf(call.grant.pluginId);
    return store.known(from, key) ?? inTurn(turns, call, async () => store.get(from, key));
  },
  'kv.list': ({ bucket, ...range }, call) =>
    inTurn(turns, call, async (spend) => {
      const page = await store.list(bucket ?? bucketOf(call.grant.pluginId), range);
      spend(page.entries.length * readCosts.listedEntry);
      return page;
    }),
  'kv.put': ({ key, value, if_revision }, { grant, entry }) => store.put(bucketOf(grant.pluginId), key, value, if_revision, entry),
  'kv.delete': ({ key, if_revision }, { grant, entry }) => store.delete(bucketOf(grant.pluginId), key, if_revision, entry),
});

function inTurn<Result>(
  turns: Turns,
  { grant, signal }: HostCall,
  read: (spend: (work: number) => void) => Promise<Result>,
): Promise<Result> {
  // biome-ignore lint/correctness/useYield: one piece
  return turns.run(grant.pluginId, signal, async function* once(spend) {
    return await read(spend);
  });
}
