import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Clock } from '../clock.ts';
import type { Actor } from '../plugin-view.ts';
import { createRateLimiter, type Rate, type RateLimiter } from '../rate-limiter.ts';
import { HttpRefusal } from './problem.ts';

type Found = { id: string; scopes: readonly string[]; plugin?: string | null } | null;
export type Authenticate = (token: string) => Found | Promise<Found>;

/** Who asks: `actor` null without a valid token; `presented` tells a wrong token from none. */
export type Caller = { actor: Actor | null; presented: boolean; address: string };

export const tokenRate: Rate = { perSecond: 500, burst: 1000 };
export const addressRate: Rate = { perSecond: 10, burst: 20 };
const mostKeys = 10_000; // limiters kept; the least recently used goes first

/** IPv4 as it is; of IPv6 the /64, because one client usually holds all of that. */
export function addressKey(address: string | undefined): string {
  if (address === undefined || isIP(address) === 0) return 'unknown';
  const parsed = ipaddr.process(address);
  return parsed.kind() === 'ipv4' ? parsed.toString() : `${parsed.toNormalizedString().split(':').slice(0, 4).join(':')}::/64`;
}

/** The token of an Authorization header; null when the header is not of the form `Bearer <token>`. */
export const readBearer = (header: string): string | null => /^bearer +([A-Za-z0-9_-]{1,128})$/i.exec(header)?.[1] ?? null;

export function createLimiters(rate: Rate, clock: Clock) {
  const limiters = new Map<string, RateLimiter>();
  return function take(key: string): void {
    const limiter = limiters.get(key) ?? createRateLimiter(rate, clock.monotonicMs);
    limiters.delete(key);
    limiters.set(key, limiter); // now the most recently used
    if (limiters.size > mostKeys) for (const oldest of limiters.keys()) if (limiters.delete(oldest)) break;
    if (limiter.take()) return;
    const retryMs = limiter.waitMs();
    throw new HttpRefusal('rate-limited', `more than ${rate.perSecond} requests a second`, {
      headers: { 'Retry-After': String(Math.max(1, Math.ceil(retryMs / 1000))) },
      details: { retry_after_ms: retryMs, hint: 'wait as long as Retry-After says' },
    });
  };
}

/** Finds out who asks and keeps each caller to its rate. It refuses nobody for lack of a token: the route knows what it needs. */
export function createIdentify(deps: { authenticate: Authenticate; clock: Clock }) {
  const takeOfToken = createLimiters(tokenRate, deps.clock);
  const takeOfAddress = createLimiters(addressRate, deps.clock);
  const takeOfProbe = createLimiters(addressRate, deps.clock); // failed log-ins of a neighbour must not make the service look dead

  return async function identify(header: string | undefined, remoteAddress: string | undefined, isProbe: boolean): Promise<Caller> {
    const token = header === undefined ? null : readBearer(header);
    const asked = token === null ? null : deps.authenticate(token);
    const found = asked instanceof Promise ? await asked : asked; // usually it is known at once
    const address = remoteAddress ?? 'unknown';
    if (found) takeOfToken(found.id);
    else (isProbe ? takeOfProbe : takeOfAddress)(addressKey(remoteAddress));
    return {
      actor: found ? { id: found.id, scopes: found.scopes, plugin: found.plugin ?? null } : null,
      presented: header !== undefined,
      address,
    };
  };
}
