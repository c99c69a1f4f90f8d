import { z } from 'zod';
import { HostError } from '../../protocol/errors.ts';
import type { CallOptions, Supervisor } from '../plugin-view.ts';
import type { EventStream } from './event-stream.ts';
import { actorOf, byId, pluginId } from './fields.ts';
import { createGather } from './gather.ts';
import { toProblem } from './problem.ts';
import { declareRoute, nothing, type Route, type RouteRequest } from './route.ts';

export type CallDeps = { supervisor: Pick<Supervisor, 'call'> };

const called = { service: z.string().min(1).max(64), method: z.string().min(1).max(64), payload: z.unknown().optional() };

type Calling = Pick<RouteRequest<unknown, unknown, unknown>, 'actor' | 'requestId' | 'signal' | 'openEvents' | 'accepts'>;

/**
 * Calls of a plugin's service methods. The answer is what the plugin answered, as it is, or null. Where server-sent events are accepted:
 * events `progress`, then one `result` or `problem`.
 */
export function createCallRoutes({ supervisor }: CallDeps): Route[] {
  type Asked = { id: string; service: string; method: string; payload?: unknown };
  const gather = createGather();
  async function call(asked: Asked, request: Calling): Promise<unknown> {
    const run = (onProgress?: CallOptions['onProgress']) =>
      supervisor.call({ id: asked.id, service: asked.service, method: asked.method, payload: asked.payload ?? null }, actorOf(request), {
        signal: request.signal(),
        requestId: request.requestId,
        onProgress,
      });
    await gather();
    return await (request.accepts.includes('text/event-stream') ? tellProgress(request, run) : run());
  }

  return [
    declareRoute({
      method: 'POST',
      path: '/api/plugins/call',
      scope: 'plugin:call',
      doc: 'Calls a service method of a plugin. The scopes that the method names are needed too.',
      params: nothing,
      query: nothing,
      body: z.strictObject({ id: pluginId, ...called }),
      outside: true,
      subject: ({ body }) => body.id,
      handle: (request) => call(request.body, request),
    }),
    declareRoute({
      method: 'POST',
      path: '/api/plugins/:id/call',
      scope: 'plugin:call',
      doc: 'Calls a service method of this plugin. The scopes that the method names are needed too.',
      params: byId,
      query: nothing,
      body: z.strictObject(called),
      outside: true,
      subject: ({ params }) => params.id,
      handle: (request) => call({ id: request.params.id, ...request.body }, request),
    }),
  ];
}

const stopped = () =>
  new HostError('unavailable', 'the service stopped before the plugin had answered', {
    hint: 'what was called for may have happened: look before you call again',
  });

const openLasting = (request: Calling): Promise<EventStream> =>
  request.openEvents(() => ({ event: 'problem', data: toProblem(stopped(), request.requestId).body }));

/** The stream begins with the first progress, or with the result: what fails before has a status of its own, and an answer is never lost for want of a stream. */
async function tellProgress(request: Calling, run: (onProgress: (value: unknown) => void) => Promise<unknown>): Promise<unknown> {
  let opening: Promise<EventStream | null> | null = null;
  const early: unknown[] = []; // told while the stream is being opened; the plugin's share of the event loop bounds it
  let tell = (value: unknown): void => {
    early.push(value);
    void open();
  };
  const open = () => {
    opening ??= openLasting(request).then(begin, giveUp);
    return opening;
  };
  function begin(stream: EventStream): EventStream {
    tell = (value) => stream.send('progress', value);
    for (const value of early.splice(0)) tell(value);
    return stream;
  }
  function giveUp(): null {
    tell = () => {};
    early.length = 0;
    return null;
  }
  try {
    const result = await run((value) => tell(value));
    const stream = await open();
    if (!stream) return result;
    return stream.end('result', result ?? null);
  } catch (thrown) {
    const stream = await opening;
    if (!stream) throw thrown;
    return (stream as EventStream).end('problem', toProblem(thrown, request.requestId).body); // TypeScript does not see `open` run
  }
}
