import type { HostHandlers } from '../broker.ts';
import type { KvStore } from '../kv-store.ts';

type KvHandlers = Pick<HostHandlers, 'kv.get' | 'kv.list' | 'kv.put' | 'kv.delete'>;

export const bucketOf = (pluginId: string): string => `plugin:${pluginId}`;

/** Each plugin has a bucket of its own, by its verified id; an operator bucket can only be read, and only when the manifest names it. */
export const createKvHandlers = (store: KvStore): KvHandlers => ({
  'kv.get': ({ key, bucket }, { grant }) => store.get(bucket ?? bucketOf(grant.pluginId), key),
  'kv.list': ({ bucket, ...range }, { grant }) => store.list(bucket ?? bucketOf(grant.pluginId), range),
  'kv.put': ({ key, value, if_revision }, { grant, entry }) => store.put(bucketOf(grant.pluginId), key, value, if_revision, entry),
  'kv.delete': ({ key, if_revision }, { grant, entry }) => store.delete(bucketOf(grant.pluginId), key, if_revision, entry),
});
