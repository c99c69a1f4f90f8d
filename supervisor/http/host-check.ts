import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { HostError } from '../../protocol/errors.ts';

/** Where the service listens. `names`: further host names that clients may use, such as its name behind a reverse proxy. */
export type Listen = { host: string; port: number; names?: readonly string[] };

const bare = (host: string) => (host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host).toLowerCase();

/** 127.0.0.0/8, ::1 and the name that stands for them. */
export function isLoopback(host: string): boolean {
  const name = bare(host);
  if (name === 'localhost') return true;
  return isIP(name) !== 0 && ipaddr.process(name).range() === 'loopback';
}

export const isWildcard = (host: string): boolean => isIP(bare(host)) !== 0 && ipaddr.process(bare(host)).range() === 'unspecified';

/** Splits a Host header; null when it is not `name`, `name:port`, `1.2.3.4:port` or `[::1]:port`. */
export function splitHost(header: string): { name: string; port: number } | null {
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?$/i.exec(header);
  return match?.[1] ? { name: bare(match[1]), port: match[2] ? Number(match[2]) : 80 } : null;
}

/**
 * A page of another site can have its own name resolve to our address and then read answers as its own (DNS rebinding). Its requests carry
 * that name, so a name we do not know is refused. A listener on every address cannot know how it is reached (published ports): there the
 * port is not compared, and any address is fine, because rebinding needs a name.
 */
export function createHostCheck(listen: Listen): (header: string | undefined, localPort: number) => void {
  const names = new Set([bare(listen.host), ...(listen.names ?? []).map(bare)]);
  const wildcard = isWildcard(listen.host);
  if (wildcard) names.add('localhost');
  if (isLoopback(listen.host)) for (const name of ['127.0.0.1', 'localhost', '::1']) names.add(name);
  const anyPort = new Set((listen.names ?? []).map(bare));
  const seen = new Set<string>(); // the few headers that real clients send, already judged good

  return function checkHost(header, localPort) {
    const key = `${header} ${localPort}`;
    if (seen.has(key)) return;
    const host = header === undefined ? null : splitHost(header);
    const known = host !== null && (names.has(host.name) || (wildcard && isIP(host.name) !== 0));
    const portFits = host !== null && (wildcard || anyPort.has(host.name) || host.port === localPort);
    if (!known || !portFits) {
      throw new HostError('forbidden', 'the Host header does not name this service', {
        rule: 'host-not-allowed',
        hint: 'use the address the service printed at its start',
      });
    }
    if (seen.size < 64) seen.add(key);
  };
}
