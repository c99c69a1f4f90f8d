import { z } from 'zod';
import { capabilityNames } from './capabilities.ts';

type Row = { timeoutMs: number; params: z.ZodType; result: z.ZodType; doc: string };

/** Calls of the supervisor that a child answers. */
export const childMethods = {
  initialize: {
    timeoutMs: 10_000,
    params: z.strictObject({
      protocol: z.int(),
      accepts: z.array(z.int()),
      plugin: z.strictObject({ id: z.string(), name: z.string(), version: z.string() }),
      generation: z.int(),
      grant: z.strictObject({
        capabilities: z.array(z.enum(capabilityNames)),
        read_buckets: z.array(z.string()),
        egress: z.array(z.string()),
      }),
      services: z.record(z.string(), z.array(z.string())),
      limits: z.strictObject({ line_bytes: z.int(), in_flight: z.int(), call_timeout_ms: z.int() }),
      config: z.record(z.string(), z.unknown()),
    }),
    result: z.object({ protocol: z.int(), name: z.string().max(128).optional() }),
    doc: 'The first message. The answer means that the plugin is ready to be invoked. Host calls made before it are refused.',
  },
  invoke: {
    timeoutMs: 60_000,
    params: z.strictObject({ service: z.string(), method: z.string(), payload: z.unknown(), timeout_ms: z.int() }),
    result: z.unknown(),
    doc: 'Runs one method of a service that the manifest declares, and answers its result.',
  },
  ping: {
    timeoutMs: 3_000,
    params: z.strictObject({}),
    result: z.unknown(),
    doc: 'Sign of life. Three unanswered in a row: the child is hung and is replaced.',
  },
  shutdown: {
    timeoutMs: 2_000,
    params: z.strictObject({}),
    result: z.unknown(),
    doc: 'The child is about to be stopped. Until it answers, only `kv.*` and `log.*` calls are allowed; then stdin is closed.',
  },
} as const satisfies Record<string, Row>;

export type ChildMethod = keyof typeof childMethods;
export type ChildParams<M extends ChildMethod> = z.output<(typeof childMethods)[M]['params']>;

/** Messages without an answer, both ways. */
export const notifications = {
  '$/cancelRequest': {
    params: z.strictObject({ id: z.union([z.string().max(64), z.int()]) }),
    doc: 'The sender no longer wants the answer to its request `id`.',
  },
  '$/progress': {
    params: z.strictObject({ id: z.union([z.string().max(64), z.int()]), value: z.unknown() }),
    doc: 'Child to supervisor: how far the request `id` has come.',
  },
} as const;
