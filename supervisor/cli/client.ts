import type { IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { HostError, isErrorCode } from '../../protocol/errors.ts';
import { parseJson } from '../../protocol/parse-json.ts';
import { http } from '../lean-http.ts';
import { AnsweredError, NotRunning } from './exit-codes.ts';
import type { Service } from './locate.ts';
import { readEvents, type ServerEvent } from './read-events.ts';

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';
type Asked = { method?: Method; query?: Record<string, string | number | undefined>; body?: unknown; signal?: AbortSignal };

export type Client = {
  url: string;
  /** The answer has the shape that the route declares: the service is ours. */
  request<Answer>(method: Method, path: string, asked?: Asked): Promise<Answer>;
  events(path: string, asked?: Asked): AsyncIterable<ServerEvent>;
  close(): void;
};

const connectMs = 5_000;
const answerMs = 120_000; // silence of more than the longest call, and the longest stop and start together

/** A path whose parts may hold any character. */
export const apiPath = (...parts: string[]): string => ['/api', ...parts.map(encodeURIComponent)].join('/');

/** Speaks to the service directly: an agent of its own knows no proxy of the environment, and it follows no redirect with the token. */
export function createClient({ url, token, tokenHint }: Service): Client {
  const [agent, request] =
    url.protocol === 'https:' ? [new HttpsAgent({ keepAlive: true }), httpsRequest] : [new http.Agent({ keepAlive: true }), http.request];
  const base = url.pathname.replace(/\/+$/, '');

  function send(method: Method, path: string, { query = {}, body, signal }: Asked, accept: string): Promise<IncomingMessage> {
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    const search = given.length ? `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}` : '';
    const text = body === undefined ? '' : JSON.stringify(body);
    const typed = body === undefined ? {} : { 'content-type': 'application/json' };
    const headers = { authorization: `Bearer ${token}`, accept, 'content-length': Buffer.byteLength(text), ...typed };
    const { hostname, port } = url;
    const host = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
    return new Promise((resolve, reject) => {
      // As a path, not as a URL: a URL would take a key like `..` for a step up.
      const asked = request(
        { agent, host, port, path: base + path + search, method, headers, timeout: connectMs, ...(signal ? { signal } : {}) },
        resolve,
      );
      asked.on('socket', (socket) =>
        socket.connecting ? socket.once('connect', () => asked.setTimeout(answerMs)) : asked.setTimeout(answerMs),
      );
      asked.on('timeout', () =>
        asked.destroy(Object.assign(new Error('timeout'), { code: asked.socket?.connecting ? 'ETIMEDOUT' : 'timeout' })),
      );
      asked.on('error', (error) => reject(connectionError(error, url)));
      asked.end(text);
    });
  }

  return {
    url: url.href,
    async request<Answer>(method: Method, path: string, asked: Asked = {}) {
      return (await readAnswer(await send(method, path, asked, 'application/json'), url, tokenHint)) as Answer; // see the type
    },
    async *events(path, asked = {}) {
      const answer = await send(asked.method ?? 'GET', path, asked, 'text/event-stream');
      if (answer.statusCode !== 200 || !answer.headers['content-type']?.startsWith('text/event-stream')) {
        yield { event: 'result', data: JSON.stringify(await readAnswer(answer, url, tokenHint)) }; // it had no stream to give
        return;
      }
      try {
        yield* readEvents(answer);
      } catch (error) {
        throw connectionError(error, url);
      }
    },
    close: () => agent.destroy(),
  };
}

async function readAnswer(answer: IncomingMessage, url: URL, tokenHint: string): Promise<unknown> {
  const status = answer.statusCode ?? 0;
  const bytes = await answer.toArray().catch((error: unknown) => {
    throw connectionError(error, url);
  });
  let value: unknown;
  try {
    value = parseJson(Buffer.concat(bytes).toString('utf8'));
  } catch (error) {
    throw new HostError(
      'internal',
      `what answers at ${url.origin} is not a Lattice service`,
      { hint: 'check LATTICE_URL' },
      { cause: error },
    );
  }
  if (status >= 200 && status < 300) return value;
  const refused = asAnsweredError(value);
  // The service speaks of the header, which nobody here has written.
  if (refused?.code === 'unauthenticated') throw new AnsweredError(refused.code, refused.message, { ...refused.problem, hint: tokenHint });
  throw refused ?? new HostError('internal', `${url.origin} answered with status ${status}`, { hint: 'check LATTICE_URL' });
}

/** A problem as the service tells it; null when it is none. */
export function asAnsweredError(value: unknown): AnsweredError | null {
  const problem = typeof value === 'object' && value !== null ? { ...value } : {};
  if (!('code' in problem) || !isErrorCode(problem.code)) return null;
  return new AnsweredError(problem.code, 'detail' in problem ? String(problem.detail) : problem.code, problem);
}

const noConnection = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL', 'ETIMEDOUT']);

function connectionError(error: unknown, url: URL): unknown {
  if (error instanceof HostError || !(error instanceof Error)) return error;
  if (error.name === 'AbortError') return new HostError('cancelled', 'interrupted', {}, { cause: error });
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (noConnection.has(code)) return new NotRunning(`no service answers at ${url.origin}`, error);
  if (code === 'timeout')
    return new HostError('deadline-exceeded', `the service at ${url.origin} did not answer in time`, {}, { cause: error });
  return new HostError(
    'unavailable',
    `the connection to ${url.origin} broke (${code || error.message})`,
    { hint: 'see whether the service still runs' },
    { cause: error },
  );
}
