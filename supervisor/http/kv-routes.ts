import { z } from 'zod';
import { HostError } from '../../protocol/errors.ts';
import { kvLimits } from '../../protocol/host-methods.ts';
import { idPattern } from '../../protocol/manifest.ts';
import type { AuditEntry } from '../audit.ts';
import type { KvChange } from '../kv-batch.ts';
import type { KvStore } from '../kv-store.ts';
import type { Actor } from '../plugin-view.ts';
import { revisionTag } from './conditions.ts';
import { actorOf, queryNumber } from './fields.ts';
import { declareRoute, noBody, nothing, type Route, type Settled } from './route.ts';

export type KvDeps = { kv: Omit<KvStore, 'known'> };

const pluginPrefix = 'plugin:';
const isBucket = (name: string) =>
  name.startsWith(pluginPrefix) ? idPattern.test(name.slice(pluginPrefix.length)) : /^[a-z0-9][a-z0-9._-]{0,63}$/.test(name);
const bucket = z.string().refine(isBucket, 'must be 1 to 64 of a-z 0-9 . _ -, or plugin:<id>');
const key = z
  .string()
  .min(1)
  .max(256)
  .regex(/^[^/\\\p{Cc}]+$/u, 'no slash, backslash or control character');
const byKey = z.strictObject({ bucket, key });
const value = z.string().max(kvLimits.valueCharacters); // as plugins may: what one has put can be put back

/** Revision 0: there is no entry. */
const tagsOf = (revision: number): readonly string[] => (revision === 0 ? [] : [revisionTag(revision)]);

const answerPut = ({ revision }: KvChange): Settled => ({ tag: revisionTag(revision), body: { revision } });
const answerDelete = ({ deleted }: KvChange): Settled => ({ body: { deleted } });

type Changed = { params: { bucket: string; key: string }; actor: Actor | null; requestId: string };

/** The row names the entry, never its value. */
function auditEntry(method: 'kv.put' | 'kv.delete', request: Changed, ifRevision: number | undefined): AuditEntry {
  const { bucket, key } = request.params;
  return {
    kind: 'kv.change',
    plugin: bucket.startsWith(pluginPrefix) ? bucket.slice(pluginPrefix.length) : null,
    actor: actorOf(request).id,
    method,
    verdict: 'allow',
    requestId: request.requestId,
    summary: JSON.stringify({ bucket, key, ...(ifRevision === undefined ? {} : { if_revision: ifRevision }) }),
  };
}

export function createKvRoutes({ kv }: KvDeps): Route[] {
  return [
    declareRoute({
      method: 'GET',
      path: '/api/kv',
      scope: 'kv:admin',
      doc: 'Lists the buckets, those of plugins too, with the number and size of their entries.',
      params: nothing,
      query: nothing,
      body: noBody,
      tagged: true,
      handle: async () => ({ buckets: await kv.buckets() }),
    }),
    declareRoute({
      method: 'GET',
      path: '/api/kv/:bucket',
      scope: 'kv:admin',
      doc: 'Lists the keys of a bucket in byte order. Pass `next` as `after` to read on; it is null at the end.',
      params: z.strictObject({ bucket }),
      query: z.strictObject({
        prefix: z.string().max(256).optional(),
        after: z.string().max(256).optional(),
        limit: queryNumber(1, kvLimits.listMost).default(100),
      }),
      body: noBody,
      tagged: true,
      handle: ({ params, query }) => kv.list(params.bucket, query),
    }),
    declareRoute({
      method: 'GET',
      path: '/api/kv/:bucket/:key',
      scope: 'kv:admin',
      doc: 'Reads one entry: its value and revision.',
      params: byKey,
      query: nothing,
      body: noBody,
      handle: async ({ params, tag }) => {
        const entry = await kv.get(params.bucket, params.key);
        if (entry.value === null)
          throw new HostError('not-found', 'there is no such entry', { hint: `lattice kv list ${params.bucket} shows the keys` });
        tag(revisionTag(entry.revision));
        return entry;
      },
    }),
    declareRoute({
      method: 'PUT',
      path: '/api/kv/:bucket/:key',
      scope: 'kv:admin',
      doc: 'Stores one entry. With `if_revision` only if it still has that revision; 0: if there is none.',
      params: byKey,
      query: nothing,
      body: z.strictObject({ value, if_revision: z.int().min(0).optional() }),
      guarded: true,
      handle: async (request) => {
        const { value, if_revision } = request.body;
        const { bucket, key } = request.params;
        const entry = auditEntry('kv.put', request, if_revision);
        const stored = await kv.put(bucket, key, value, if_revision, entry, request.safeguards(tagsOf, answerPut));
        request.tag(revisionTag(stored.revision));
        return stored;
      },
    }),
    declareRoute({
      method: 'DELETE',
      path: '/api/kv/:bucket/:key',
      scope: 'kv:admin',
      doc: 'Deletes one entry; `deleted` is false when there was none. `if_revision` works as for storing.',
      params: byKey,
      query: z.strictObject({ if_revision: queryNumber(0, Number.MAX_SAFE_INTEGER).optional() }),
      body: noBody,
      guarded: true,
      handle: (request) => {
        const revision = request.query.if_revision;
        const { bucket, key } = request.params;
        return kv.delete(bucket, key, revision, auditEntry('kv.delete', request, revision), request.safeguards(tagsOf, answerDelete));
      },
    }),
  ];
}
