import { z } from 'zod';
import { type AuditRow, auditKinds } from '../audit.ts';
import type { Head, Verdict } from '../audit-chain.ts';
import type { AuditFilter } from '../audit-query.ts';
import { expandAuditTerms } from '../audit-terms.ts';
import { queryNumber } from './fields.ts';
import { declareRoute, noBody, nothing, type Route } from './route.ts';

export type AuditDeps = {
  audit: {
    query(filter: AuditFilter, signal: AbortSignal): Promise<AuditRow[]>;
    verify(against: Head | null): Promise<Verdict>;
    head(): Head;
  };
};

const text = z.string().min(1).max(256).optional();
const time = z
  .string()
  .max(64)
  .refine((value) => !Number.isNaN(Date.parse(value)), 'must be a time like 2026-01-31T12:00:00Z')
  .transform((value) => new Date(value).toISOString())
  .optional();
const fields = z.strictObject({
  plugin: text,
  kind: z.enum(auditKinds, `must be one of ${auditKinds.join(' ')}`).optional(),
  verdict: z.enum(['allow', 'deny'], 'must be allow or deny').optional(),
  method: text,
  actor: text,
  code: text,
  rule: text,
  request_id: text,
  since: time,
  until: time,
  after: queryNumber(0, Number.MAX_SAFE_INTEGER).optional(),
  limit: queryNumber(1, 1000).default(100),
  order: z.enum(['oldest', 'newest']).default('newest'),
});
const isRange = ({ since, until }: { since?: string | undefined; until?: string | undefined }) =>
  since === undefined || until === undefined || since < until;
const query = z.preprocess(
  expandAuditTerms,
  fields.refine(isRange, { path: ['until'], message: 'must be after since: nothing is between them' }),
);

const headQuery = z
  .strictObject({
    seq: queryNumber(0, Number.MAX_SAFE_INTEGER).optional(),
    hash: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .optional(),
  })
  .refine(({ seq, hash }) => (seq === undefined) === (hash === undefined), 'seq and hash go together');

export function createAuditRoutes({ audit }: AuditDeps): Route[] {
  let verifying: Promise<Verdict> | null = null; // it reads the whole table: those who ask meanwhile share the answer
  return [
    declareRoute({
      method: 'GET',
      path: '/api/audit',
      scope: 'audit:read',
      doc: 'Reads audit rows, the newest first unless `order` says oldest; `q` takes terms like `plugin:example.hello verdict:deny`. Pass `next` as `after` to read on; it is null at the end.',
      params: nothing,
      query,
      body: noBody,
      handle: async (request) => {
        const { after, order, ...filter } = request.query;
        const place = after === undefined ? {} : { afterSeq: after };
        const rows = await audit.query({ ...filter, ...place, newestFirst: order === 'newest' }, request.signal());
        return { rows, next: rows.length === filter.limit ? (rows.at(-1)?.seq ?? null) : null };
      },
    }),
    declareRoute({
      method: 'GET',
      path: '/api/audit/verify',
      scope: 'audit:read',
      doc: 'Checks the whole chain against the kept head, and with `seq` and `hash` against one kept elsewhere: `ok`, and where it breaks if it does.',
      params: nothing,
      query: headQuery,
      body: noBody,
      handle: ({ query: { seq, hash } }) => {
        if (seq !== undefined && hash !== undefined) return audit.verify({ seq, hash });
        verifying ??= audit.verify(null).finally(() => {
          verifying = null;
        });
        return verifying;
      },
    }),
    declareRoute({
      method: 'GET',
      path: '/api/audit/head',
      scope: 'audit:read',
      doc: 'Tells the last row: its seq and hash.',
      params: nothing,
      query: nothing,
      body: noBody,
      handle: () => audit.head(),
    }),
  ];
}
