import type { ServerResponse } from 'node:http';
import type Koa from 'koa';
import helmet from 'koa-helmet';

/** An answer with one text, or none; `headers` are names and values in turns. */
export type Reply = { status: number; headers: readonly string[]; text: string | null };

export const jsonType = 'application/json; charset=utf-8';
export const problemType = 'application/problem+json';

const requestIdHeader = 'X-Lattice-Request-ID';
const onEach: readonly string[] = [...securityHeaders(), 'Cache-Control', 'no-store'];

/**
 * Writes the answer, head and text at once. Koa would set, look up and check each header by itself, which costs as much as all the rest that it
 * does; Node checks them all the same. To a client that went away nothing is written.
 */
export function writeReply(ctx: Koa.ParameterizedContext, requestId: string, reply: Reply, isLast: boolean): void {
  if (!ctx.writable) return;
  ctx.respond = false;
  const headers = [requestIdHeader, requestId, ...onEach, ...reply.headers];
  if (isLast && !reply.headers.includes('Connection')) headers.push('Connection', 'close');
  if (reply.text !== null) headers.push('Content-Length', String(Buffer.byteLength(reply.text)));
  ctx.res.writeHead(reply.status, headers);
  if (reply.text === null || ctx.method === 'HEAD') ctx.res.end();
  else ctx.res.end(reply.text);
}

/** The same headers on an answer that writes itself. */
export function setCommonHeaders(res: ServerResponse, requestId: string): void {
  res.setHeader(requestIdHeader, requestId);
  for (let at = 0; at < onEach.length; at += 2) res.setHeader(onEach[at] ?? '', onEach[at + 1] ?? '');
}

/** The answers are data for programs: what a browser might make of them is forbidden. What only concerns pages is left out; TLS, and so HSTS, is a reverse proxy's. */
function securityHeaders(): readonly string[] {
  const known: string[] = []; // the same on each answer, so they are worked out once
  const res = { setHeader: (name: string, value: string) => void known.push(name, value), removeHeader() {} };
  const secure = helmet({
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    xFrameOptions: { action: 'deny' },
    strictTransportSecurity: false,
    originAgentCluster: false,
    xDnsPrefetchControl: false,
    xDownloadOptions: false,
    xPermittedCrossDomainPolicies: false,
    xXssProtection: false,
  });
  void secure({ req: {}, res } as unknown as Koa.Context, async () => {}); // all that it uses of a context
  return known;
}
