import { z } from 'zod';
import { HostError } from '../../protocol/errors.ts';
import { plainly, tellFirst } from '../../protocol/plain-words.ts';
import type { Scope } from '../../protocol/scopes.ts';
import type { Actor } from '../plugin-view.ts';
import type { Safeguards } from '../safeguards.ts';
import type { EventStream, LastEvent } from './event-stream.ts';

/** An answer that is noted with its change. What must not be kept is not in it. */
export type Settled = { status?: number; tag?: string; body: unknown };

export type RouteRequest<Params, Query, Body> = {
  params: Params;
  query: Query;
  body: Body;
  actor: Actor | null; // never null where the route has a scope
  requestId: string;
  accepts: string; // the Accept header
  signal(): AbortSignal; // aborted when the client goes away before it was answered
  status(status: number): void; // of the answer, when it is not 200
  tag(tag: string): void; // of the answer, when it is not to be that of its text
  /**
   * For the one who makes the change. `tagsOf`: the present tags of what it changes, none if it is not there. `answerOf`: the answer, where
   * it is known as soon as the change is made; it is noted in the same transaction.
   */
  safeguards<Seen = void, Done = void>(
    tagsOf: (seen: Seen) => readonly string[],
    answerOf?: (done: Done) => Settled,
  ): Safeguards<Seen, Done>;
  openEvents(last?: () => LastEvent): Promise<EventStream>; // answers with server-sent events instead of what `handle` returns
};

type Row<Params extends z.ZodType, Query extends z.ZodType, Body extends z.ZodType> = {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  scope: Scope | null; // null: no token needed
  doc: string;
  params: Params;
  query: Query;
  body: Body; // `noBody`: a body is refused
  bodyMostBytes?: number; // when it may be larger than usual
  tagged?: true; // its answer has an ETag: of its text, unless the handler sets one
  guarded?: true; // a change that hands on the caller's conditions; elsewhere a condition is refused
  outside?: true; // what it does is not in the database: cut off by a crash, nobody knows whether it was done
  secret?: true; // its answer is not kept for a repetition, which `answerAgain` answers
  /** Of a repetition: the answer to a change that was made, where no answer was kept. */
  answerAgain?(request: { params: z.output<Params>; body: z.output<Body> }): unknown;
  /** The plugin that the request is about. A token restricted to one plugin reaches only routes that have this, for that plugin. */
  subject?: (request: { params: z.output<Params>; body: z.output<Body> }) => string;
  handle(request: RouteRequest<z.output<Params>, z.output<Query>, z.output<Body>>): unknown;
};

export type RawRequest = RouteRequest<unknown, unknown, unknown>;

export const nothing = z.strictObject({});
export const noBody = z.undefined();
/** What a request without a query has for one. */
export const noQuery: Record<string, string> = Object.freeze({});
export const emptyBody = nothing.optional();

/** A declared route, its types closed over. */
export type Route = Pick<
  Row<z.ZodType, z.ZodType, z.ZodType>,
  | 'method'
  | 'path'
  | 'scope'
  | 'doc'
  | 'params'
  | 'query'
  | 'body'
  | 'bodyMostBytes'
  | 'tagged'
  | 'guarded'
  | 'outside'
  | 'secret'
  | 'answerAgain'
> & {
  forPluginTokens: boolean;
  /** What stands in the path, checked. */
  readParams(raw: Record<string, string>): unknown;
  /** Checks what else came and throws what is wrong with it. `raw` becomes the request: its params are what `readParams` gave. */
  prepare(raw: RawRequest): Prepared;
};

/** A request that may be done. */
export type Prepared = { run(): unknown; outside: boolean; isSecret: boolean; answerAgain: (() => unknown) | null };

/** One row of the API. Router, checks, tests and the description of the API derive from it. */
export function declareRoute<Params extends z.ZodType, Query extends z.ZodType, Body extends z.ZodType>(
  row: Row<Params, Query, Body>,
): Route {
  let withoutQuery: z.output<Query> | null = null;
  return {
    ...row,
    forPluginTokens: row.subject !== undefined,
    readParams: (raw) => freeze(check(row.params, raw, 'path')),
    prepare(raw) {
      const request = raw as RouteRequest<z.output<Params>, z.output<Query>, z.output<Body>>; // as soon as the next two lines are through
      if (raw.query !== noQuery) request.query = check(row.query, raw.query, 'query');
      else request.query = withoutQuery ??= freeze(check(row.query, noQuery, 'query'));
      request.body = check(row.body, raw.body, 'body');
      const { params, body } = request;
      const own = raw.actor?.plugin ?? null;
      if (own !== null && row.subject?.({ params, body }) !== own) throw notForThisToken(own);
      const { answerAgain } = row;
      return {
        run: () => row.handle(request),
        outside: row.outside ?? false,
        isSecret: row.secret ?? false,
        answerAgain: answerAgain ? () => answerAgain({ params, body }) : null,
      };
    },
  };
}

export const notForThisToken = (plugin: string) =>
  new HostError('forbidden', `this token is only for calls, logs and reasons of ${plugin}`, {
    rule: 'token-of-one-plugin',
    hint: 'use a token that is not restricted to one plugin',
  });

/** Several requests share it. */
function freeze<Value>(value: Value): Value {
  Object.freeze(value);
  return value;
}

function check<Schema extends z.ZodType>(schema: Schema, value: unknown, where: string): z.output<Schema> {
  const parsed = schema.safeParse(value, plainly);
  if (parsed.success) return parsed.data;
  const told = tellFirst(parsed.error.issues);
  const pointer = told.pointer.slice(0, 128);
  if (value === undefined) throw new HostError('invalid-params', 'this request needs a JSON body', { hint: 'send one JSON object' });
  const [said = '', meant] = told.message.split('; did you mean ');
  const place = pointer === '/' ? `the ${where}` : `${where} ${pointer}:`;
  throw new HostError('invalid-params', `${place} ${said.slice(0, 512)}`, {
    pointer,
    hint: meant ? `did you mean ${meant}` : 'correct it as the message says',
  });
}
