import type { z } from 'zod';
import { type Capability, capabilities } from '../protocol/capabilities.ts';
import { asHostError, CapabilityDenied, HostError } from '../protocol/errors.ts';
import { type HostMethod, hostMethods, isHostMethod, type ParsedParams, type RateClass, type Result } from '../protocol/host-methods.ts';
import { plainly, tellFirst } from '../protocol/plain-words.ts';
import type { AuditEntry } from './audit.ts';
import type { Clock } from './clock.ts';
import { noFailpoints, type Reach } from './failpoints.ts';
import { checkReach } from './grant-reach.ts';
import type { RateLimiter } from './rate-limiter.ts';

/** The capabilities of one verified manifest, and what they are narrowed to. */
export type Grant = {
  pluginId: string;
  capabilities: ReadonlySet<Capability>;
  egress: readonly string[];
  egressSetBy?: 'manifest' | 'operator';
  readBuckets: readonly string[];
};

/** What a handler knows of the call. One with effect `database` writes `entry` in its own transaction, whatever comes of the call. */
export type HostCall = { grant: Grant; generation: number; requestId: string; signal: AbortSignal; entry: AuditEntry };
export type HostHandlers = { [M in HostMethod]: (params: ParsedParams<M>, call: HostCall) => Result<M> | Promise<Result<M>> };
export type RateLimiters = Readonly<Record<RateClass, RateLimiter>>;

export type Askable = 'all' | 'own' | 'none';
export type BrokerDeps = {
  grant: Grant;
  generation: number;
  askable(): Askable;
  actor(): string | null; // whose invocations the child is working on
  handlers: HostHandlers;
  rates: RateLimiters;
  append(entry: AuditEntry, when?: 'now' | 'soon'): Promise<void>; // resolves when durable
  appendDenial(entry: AuditEntry, key: string): void;
  clock: Clock;
  reach?: Reach;
};
/** Answers at once what is at hand, else by a promise; refusals always by one. */
export type Dispatch = (method: string, params: unknown, context: DispatchContext) => unknown;
/** `aborted` says what the signal would, so that none has to be made for a call that nobody cancels. */
export type DispatchContext = { readonly signal: AbortSignal; readonly aborted?: boolean };

const readAheadMs = 50; // a read may run ahead of its committed row by this much

/** The one door. Known, allowed in this state, granted, within the rate, valid, recorded, done: in this order, and the first refusal ends it. */
export function createBroker(deps: BrokerDeps): Dispatch {
  const { grant, generation, handlers, rates, clock, reach = noFailpoints.reach } = deps;
  let calls = 0;
  const uncommittedSince: number[] = []; // when the first read of each commit that is not done yet was let through; commits keep their order
  let lastAppend: Promise<void> | null = null;
  let lastSettled: Promise<void> = Promise.resolve();

  function refuse(entry: AuditEntry, error: HostError): never {
    const rule = typeof error.details.rule === 'string' ? error.details.rule : null;
    const refused: AuditEntry = { ...entry, verdict: 'deny', code: error.code, rule };
    const known = isHostMethod(entry.method ?? '') ? entry.method : '(unknown)';
    deps.appendDenial(refused, `${grant.pluginId} ${known} ${error.code}`);
    throw error;
  }

  const isTooFarAhead = () => uncommittedSince.length > 0 && clock.monotonicMs() - (uncommittedSince[0] ?? 0) > readAheadMs;

  function recordRead(entry: AuditEntry): void {
    const append = deps.append(entry, 'soon');
    if (append === lastAppend) return; // the same commit
    lastAppend = append;
    uncommittedSince.push(clock.monotonicMs());
    const settled = () => void uncommittedSince.shift();
    lastSettled = append.then(settled, settled); // reads go on while the disk is full; the failure is logged where it happens
  }

  /** Filled as the ask is decided; whoever it is handed to takes a copy at once. */
  const beginEntry = (method: string): AuditEntry => ({
    kind: 'host.decision',
    plugin: grant.pluginId,
    generation,
    actor: deps.actor(),
    method,
    verdict: null,
    requestId: `${grant.pluginId}:${generation}.${++calls}`,
    summary: '{}',
  });

  function answer(method: string, raw: unknown, context: DispatchContext): unknown {
    if (!isHostMethod(method)) return refuse(beginEntry(printable(method)), unknownMethod(method));
    const row = hostMethods[method];
    const entry = beginEntry(method);
    const state = deps.askable();
    if (!isPossible(method, state)) refuse(entry, notNow(method, state));
    if (!grant.capabilities.has(row.capability))
      refuse(entry, new CapabilityDenied(grant.pluginId, method, row.capability, capabilities[row.capability].risk));
    if (!rates[row.rate].take()) refuse(entry, overRate(method, row.rate, rates[row.rate]));
    const parsed = row.params.safeParse(raw ?? {}, plainly);
    if (!parsed.success) return refuse(entry, invalidParams(method, parsed.error.issues));
    const outOfReach = checkReach(method, parsed.data, grant);
    if (outOfReach) refuse(entry, outOfReach);

    entry.verdict = 'allow';
    entry.summary = summarise(row.auditFields, parsed.data);
    const call = new Call(grant, generation, entry, context);
    if (row.effect === 'none' && !isTooFarAhead()) return read(method, parsed.data, call);
    return decideLater(method, parsed.data, call);
  }

  /** A function of its own, so that a read that goes on at once makes no function. */
  function decideLater(method: HostMethod, params: unknown, call: Call): unknown {
    const { effect, result } = hostMethods[method];
    if (effect === 'database') return finish(method, act(method, params, call));
    if (effect === 'none') return lastSettled.then(() => read(method, params, call));
    return actOutside(() => act(method, params, call), call.entry, deps.append, reach).then((given) => result.parse(given));
  }

  function read(method: HostMethod, params: unknown, call: Call): unknown {
    recordRead(call.entry);
    return finish(method, act(method, params, call));
  }

  /** The grant may have gone, or the asker, while the row was made durable. */
  function act(method: HostMethod, params: unknown, call: Call): unknown {
    if (call.aborted || !isPossible(method, deps.askable()))
      throw new HostError('cancelled', `${method} was given up before it began`, { rule: 'revoked' });
    // The row that parsed the params also picked the handler; TypeScript cannot correlate the two.
    const handle = handlers[method] as (params: unknown, call: HostCall) => unknown;
    return handle(params, call);
  }

  function finish(method: HostMethod, given: unknown): unknown {
    if (given instanceof Promise) return finishLater(method, given);
    const result = hostMethods[method].result.parse(given);
    reach('host.answer');
    return result;
  }

  const finishLater = (method: HostMethod, given: Promise<unknown>) => given.then((value) => finish(method, value));

  return function dispatch(method, raw, context) {
    try {
      return answer(method, raw, context);
    } catch (thrown) {
      return Promise.reject(thrown);
    }
  };
}

/** A class, because one is made for each call, and an object with a getter of its own costs ten times as much. */
class Call implements HostCall {
  readonly grant: Grant;
  readonly generation: number;
  readonly entry: AuditEntry;
  readonly #context: DispatchContext;

  constructor(grant: Grant, generation: number, entry: AuditEntry, context: DispatchContext) {
    this.grant = grant;
    this.generation = generation;
    this.entry = entry;
    this.#context = context;
  }
  get requestId(): string {
    return this.entry.requestId ?? '';
  }
  get signal(): AbortSignal {
    return this.#context.signal;
  }
  get aborted(): boolean {
    return this.#context.aborted ?? this.#context.signal.aborted;
  }
}

/** The decision is durable before the effect starts; its outcome is a row of its own, and one that a crash left open is closed at the next start. */
async function actOutside(act: () => unknown, decision: AuditEntry, append: BrokerDeps['append'], reach: Reach): Promise<unknown> {
  await append({ ...decision, opens: true });
  reach('audit.decided');
  const close = (code: string) => append({ ...decision, kind: 'host.outcome', verdict: null, code, summary: '{}' }).catch(() => {}); // open decisions are closed at start
  try {
    const result = await act();
    reach('audit.acted');
    void close('done');
    return result;
  } catch (thrown) {
    void close(asHostError(thrown).code);
    throw thrown;
  }
}

const isOwn = (method: HostMethod): boolean => method.startsWith('kv.') || method.startsWith('log.');
const isPossible = (method: HostMethod, state: Askable): boolean => state === 'all' || (state === 'own' && isOwn(method));

const unknownMethod = (method: string): HostError =>
  new HostError('method-not-found', `unknown host method ${printable(method)}`, { hint: 'the methods are listed in HOST-API.md' });

const notNow = (method: string, state: Askable): HostError =>
  state === 'own'
    ? new HostError('invalid-transition', `${method} is not possible while the plugin shuts down`, {
        rule: 'draining',
        hint: 'only kv.* and log.* are answered until shutdown is',
      })
    : new HostError('invalid-transition', `${method} is not possible in this state`, {
        rule: 'no-grant',
        hint: 'host calls are answered from the answer to initialize until shutdown',
      });

const overRate = (method: string, rate: string, limiter: RateLimiter): HostError =>
  new HostError('rate-limited', `${method} is over its rate`, {
    rule: `rate-${rate}`,
    retry_after_ms: limiter.waitMs(),
    hint: 'call less often, or ask the operator for a higher rate',
  });

function invalidParams(method: string, issues: readonly z.core.$ZodIssue[]): HostError {
  const { pointer, message } = tellFirst(issues);
  return new HostError('invalid-params', `${method}: ${pointer}: ${message}`, {
    rule: 'schema',
    pointer,
    hint: `see ${method} in HOST-API.md`,
  });
}

/** Only the row's audit fields, each bounded: a row never holds values, headers or bodies. */
function summarise(fields: readonly string[], params: unknown): string {
  let text = '';
  for (const field of fields) {
    const value = (params as Record<string, unknown>)[field]; // params of every method are an object
    if (value === undefined) continue;
    text += `${text === '' ? '{' : ','}"${field}":${JSON.stringify(typeof value === 'string' ? value.slice(0, 256) : value)}`;
  }
  return text === '' ? '{}' : `${text}}`;
}

/** A method name comes from the plugin: it must not forge a line or fill a row. */
export const printable = (text: string): string => text.slice(0, 64).replace(/[^\x20-\x7e]/g, '?');
