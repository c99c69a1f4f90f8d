import { z } from 'zod';
import type { Capability } from './capabilities.ts';

/**
 * `none`: nothing outside the answer changes; its audit row may follow by at most 50 ms.
 * `database`: the change commits in one transaction with its audit row.
 * `outside`: the audit row is durable before the handler starts, and a `host.outcome` row closes it.
 */
export type Effect = 'none' | 'database' | 'outside';
export type RateClass = 'read' | 'effect' | 'fetch' | 'notify' | 'log';

type Row = {
  capability: Capability;
  effect: Effect;
  rate: RateClass;
  timeoutMs: number;
  params: z.ZodType;
  result: z.ZodType;
  auditFields: readonly string[]; // parameters that may stand in an audit row: never values, headers, bodies, queries
  doc: string;
  sample: { params: unknown; result: unknown };
};

const key = z
  .string()
  .min(1)
  .max(256)
  .regex(/^[^/\\\p{Cc}]+$/u); // a slash would reach into another namespace, a control character would forge a log line
const bucket = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/)
  .optional();
const revision = z.int().min(0);
const noLineBreak = /^[^\r\n\0]*$/;
const headerName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/);
/** A record whose entries are counted before any is looked at: a plugin must not buy much work with one message. */
const smallRecord = <Value>(most: number, key: z.ZodString, value: z.ZodType<Value, Value>) =>
  z
    .custom<Record<string, Value>>(
      (given) => typeof given === 'object' && given !== null && Object.keys(given).length <= most,
      `must be an object of at most ${most} fields`,
    )
    .meta({ type: 'object' })
    .pipe(z.record(key, value));

export const kvLimits = { valueCharacters: 256 * 1024, listMost: 1000 } as const;
export const fetchLimits = { bodyBytes: 512 * 1024, answerBytes: 512 * 1024, timeoutMs: 30_000, redirects: 5, headers: 64 } as const;

export const hostMethods = {
  'kv.get': {
    capability: 'kv:read',
    effect: 'none',
    rate: 'read',
    timeoutMs: 30_000,
    params: z.strictObject({ key, bucket }),
    result: z.strictObject({ value: z.string().nullable(), revision }),
    auditFields: ['key', 'bucket'],
    doc: 'Reads one entry of the plugin’s own namespace, or of an operator bucket that the manifest names in `kv.read_buckets`. When there is no such entry, `value` is null and `revision` 0.',
    sample: { params: { key: 'colour' }, result: { value: 'green', revision: 3 } },
  },
  'kv.list': {
    capability: 'kv:read',
    effect: 'none',
    rate: 'read',
    timeoutMs: 30_000,
    params: z.strictObject({
      prefix: z.string().max(256).optional(),
      after: z.string().max(256).optional(),
      limit: z.int().min(1).max(kvLimits.listMost).default(100),
      bucket,
    }),
    result: z.strictObject({
      entries: z.array(z.strictObject({ key: z.string(), revision, bytes: z.int() })),
      next: z.string().nullable(),
    }),
    auditFields: ['prefix', 'bucket', 'limit'],
    doc: 'Lists keys in byte order, without their values. Pass `next` as `after` to read on; it is null at the end.',
    sample: { params: { prefix: 'col' }, result: { entries: [{ key: 'colour', revision: 3, bytes: 5 }], next: null } },
  },
  'kv.put': {
    capability: 'kv:write',
    effect: 'database',
    rate: 'effect',
    timeoutMs: 30_000,
    params: z.strictObject({ key, value: z.string().max(kvLimits.valueCharacters), if_revision: revision.optional() }),
    result: z.strictObject({ revision }),
    auditFields: ['key', 'if_revision'],
    doc: 'Stores one entry. With `if_revision` it does so only if the entry still has that revision (0: there is none yet), else it answers `conflict` with the present one. A revision is never used twice within a namespace.',
    sample: { params: { key: 'colour', value: 'green', if_revision: 0 }, result: { revision: 3 } },
  },
  'kv.delete': {
    capability: 'kv:write',
    effect: 'database',
    rate: 'effect',
    timeoutMs: 30_000,
    params: z.strictObject({ key, if_revision: revision.optional() }),
    result: z.strictObject({ deleted: z.boolean() }),
    auditFields: ['key', 'if_revision'],
    doc: 'Deletes one entry; `deleted` is false when there was none. `if_revision` works as in `kv.put`.',
    sample: { params: { key: 'colour' }, result: { deleted: true } },
  },
  'log.write': {
    capability: 'log:write',
    effect: 'outside',
    rate: 'log',
    timeoutMs: 30_000,
    params: z.strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
      message: z.string().max(8192),
      fields: smallRecord(32, z.string().max(64), z.union([z.string().max(1024), z.number(), z.boolean(), z.null()])).optional(),
    }),
    result: z.strictObject({}),
    auditFields: ['level'],
    doc: 'Writes one line to the plugin’s own log, which the operator reads with `lattice plugins logs`. Line breaks in the message are escaped.',
    sample: { params: { level: 'info', message: 'cache refreshed' }, result: {} },
  },
  'http.fetch': {
    capability: 'http:egress',
    effect: 'outside',
    rate: 'fetch',
    timeoutMs: 30_000,
    params: z.strictObject({
      url: z.string().max(8192),
      method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']).default('GET'),
      headers: smallRecord(fetchLimits.headers, headerName, z.string().max(8192).regex(noLineBreak)).optional(),
      body: z.string().max(fetchLimits.bodyBytes).optional(),
      body_base64: z.base64().max(fetchLimits.bodyBytes).optional(),
      timeout_ms: z.int().min(1).max(fetchLimits.timeoutMs).default(10_000),
      max_bytes: z.int().min(0).max(fetchLimits.answerBytes).default(fetchLimits.answerBytes),
      redirect: z.enum(['follow', 'manual']).default('follow'),
    }),
    result: z.strictObject({
      status: z.int(),
      headers: z.record(z.string(), z.string()),
      body: z.string().optional(),
      body_base64: z.string().optional(),
      url: z.string(),
      redirects: z.int(),
    }),
    auditFields: ['method'],
    doc: 'Makes one HTTP or HTTPS request to a host in the manifest’s `egress` list. Every address the name resolves to must be public, and is checked again at each redirect (at most 5, never from https to http). The answer’s body is `body` when it is valid UTF-8 and not too large as JSON text, else `body_base64`; several `set-cookie` headers are joined by line feeds; a larger one than `max_bytes` is `payload-too-large`. What is not allowed is `egress-blocked`.',
    sample: {
      params: { url: 'https://api.example.com/v1/status' },
      result: {
        status: 200,
        headers: { 'content-type': 'application/json' },
        body: '{"ok":true}',
        url: 'https://api.example.com/v1/status',
        redirects: 0,
      },
    },
  },
  'notify.send': {
    capability: 'notify:send',
    effect: 'database',
    rate: 'notify',
    timeoutMs: 30_000,
    params: z.strictObject({
      channel: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/),
      title: z.string().min(1).max(200).regex(noLineBreak),
      text: z.string().max(8192).default(''),
      severity: z.enum(['info', 'warning', 'critical']).default('info'),
    }),
    result: z.strictObject({ id: z.string() }),
    auditFields: ['channel', 'severity'],
    doc: 'Puts one message in the outbox of a channel that the operator opened to this plugin. An answer means that it is durable; delivery follows, at least once, with `id` for the receiver to recognise a repeat.',
    sample: { params: { channel: 'ops', title: 'Disk is filling', text: '91 % of /var', severity: 'warning' }, result: { id: 'n-42' } },
  },
  'audit.query': {
    capability: 'audit:read',
    effect: 'none',
    rate: 'read',
    timeoutMs: 30_000,
    params: z.strictObject({
      after_seq: z.int().min(0).default(0),
      method: z.string().max(64).optional(),
      verdict: z.enum(['allow', 'deny']).optional(),
      limit: z.int().min(1).max(500).default(100),
    }),
    result: z.strictObject({
      rows: z.array(
        z.strictObject({
          seq: z.int(),
          time: z.string(),
          kind: z.string(),
          generation: z.int().nullable(),
          method: z.string().nullable(),
          verdict: z.string().nullable(),
          code: z.string().nullable(),
          summary: z.string(),
        }),
      ),
      next: z.int().nullable(),
    }),
    auditFields: ['after_seq', 'limit'],
    doc: 'Reads audit rows that belong to this plugin, oldest first. Pass `next` as `after_seq` to read on.',
    sample: {
      params: { limit: 10 },
      result: {
        rows: [
          {
            seq: 7,
            time: '2026-01-01T00:00:00.000Z',
            kind: 'host.decision',
            generation: 1,
            method: 'kv.get',
            verdict: 'allow',
            code: null,
            summary: '{"key":"colour"}',
          },
        ],
        next: null,
      },
    },
  },
} as const satisfies Record<string, Row>;

export type HostMethod = keyof typeof hostMethods;
/** What a plugin passes (fields with a default may be left out), and what a handler receives. */
export type Params<M extends HostMethod> = z.input<(typeof hostMethods)[M]['params']>;
export type ParsedParams<M extends HostMethod> = z.output<(typeof hostMethods)[M]['params']>;
export type Result<M extends HostMethod> = z.output<(typeof hostMethods)[M]['result']>;
export const hostMethodNames = Object.keys(hostMethods) as HostMethod[]; // the object literal's own keys are exactly the type
export const isHostMethod = (name: string): name is HostMethod => Object.hasOwn(hostMethods, name);

/** Calls a second and burst per plugin; the operator changes them in `LATTICE_POLICY`. */
export const defaultRates: Readonly<Record<RateClass, { perSecond: number; burst: number }>> = {
  read: { perSecond: 2000, burst: 4000 },
  effect: { perSecond: 200, burst: 400 },
  fetch: { perSecond: 20, burst: 20 },
  notify: { perSecond: 1, burst: 10 },
  log: { perSecond: 100, burst: 100 },
};
