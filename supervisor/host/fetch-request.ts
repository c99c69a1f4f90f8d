import { HostError } from '../../protocol/errors.ts';

/** One hop of a fetch. Header names are lower case; the body is kept whole, because a redirect may send it again. */
export type Outgoing = { url: URL; method: string; headers: Readonly<Record<string, string>>; body: Buffer | null };

export const requestLimits = { headers: 64, headerBytes: 64 * 1024, redirects: 5 } as const;

// What frames the message or belongs to the connection is ours; a plugin that could set it could smuggle a second request.
const forbidden: ReadonlySet<string> = new Set([
  'host',
  'connection',
  'keep-alive',
  'transfer-encoding',
  'content-length',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'http2-settings',
]);
const isForbidden = (name: string): boolean => forbidden.has(name) || name.startsWith('proxy-');
const tokenForm = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;
const valueForm = /^[\t\x20-\x7e\x80-\xff]*$/;

const invalid = (rule: string, message: string, hint: string): HostError => new HostError('invalid-params', message, { rule, hint });

/** Lower-cases the names; refuses what the caller may not set. The messages name a header and never its value. */
export function checkHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(headers);
  const bytes = entries.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  if (entries.length > requestLimits.headers || bytes > requestLimits.headerBytes) {
    throw invalid(
      'headers-too-large',
      'the request headers are too large',
      `send at most ${requestLimits.headers} headers and 64 KiB of them`,
    );
  }
  const checked = new Map<string, string>();
  for (const [given, value] of entries) {
    const name = given.toLowerCase();
    if (!tokenForm.test(name)) throw invalid('header-name', 'a header has a name that HTTP does not allow', 'use letters, digits and -');
    if (isForbidden(name)) throw invalid('header-forbidden', `the header ${name} is set by the supervisor`, `leave ${name} out`);
    if (checked.has(name)) throw invalid('header-twice', `the header ${name} stands twice`, 'header names do not depend on case');
    if (!valueForm.test(value))
      throw invalid('header-value', `the value of ${name} has a character that HTTP does not allow`, 'use printable Latin-1');
    checked.set(name, value);
  }
  return Object.fromEntries(checked);
}

/** Parses a URL by the WHATWG rules, which also turn every odd spelling of an IPv4 address into the plain one. */
export function parseTarget(text: string, base?: URL): URL {
  const url = URL.parse(text, base?.href);
  if (url === null) throw invalid('url-invalid', 'the URL cannot be parsed', 'write an absolute URL like https://api.example.com/path');
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw new HostError('egress-blocked', `the scheme ${url.protocol.slice(0, 16)} is not allowed`, {
      rule: 'scheme-not-allowed',
      hint: 'use https: or http:',
    });
  }
  if (url.username !== '' || url.password !== '') {
    throw invalid('url-credentials', 'the URL has a user or a password in it', 'send credentials in the Authorization header');
  }
  url.hash = '';
  return url;
}

export const portOf = (url: URL): number => (url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port));

/** The next hop when the answer is a redirect, by the rules of fetch; null when it is the final answer. */
export function followRedirect(from: Outgoing, status: number, location: string | undefined): Outgoing | null {
  if (location === undefined || ![301, 302, 303, 307, 308].includes(status)) return null;
  const url = parseRedirect(location, from.url);
  const becomesGet = (status === 303 && from.method !== 'GET' && from.method !== 'HEAD') || (status <= 302 && from.method === 'POST');
  const sameOrigin = url.origin === from.url.origin;
  const kept = Object.entries(from.headers).filter(
    ([name]) => !(becomesGet && name.startsWith('content-')) && (sameOrigin || (name !== 'authorization' && name !== 'cookie')),
  );
  return { url, method: becomesGet ? 'GET' : from.method, headers: Object.fromEntries(kept), body: becomesGet ? null : from.body };
}

function parseRedirect(location: string, from: URL): URL {
  let url: URL;
  try {
    url = parseTarget(location, from);
  } catch (thrown) {
    if (!(thrown instanceof HostError)) throw thrown;
    // The server wrote this URL: it is no fault in the caller's parameters.
    throw redirectBlocked(`redirect-${String(thrown.details.rule)}`, `a redirect was not followed: ${thrown.message}`);
  }
  if (from.protocol === 'https:' && url.protocol === 'http:')
    throw redirectBlocked('redirect-downgrade', 'a redirect leads from https to http');
  return url;
}

const redirectBlocked = (rule: string, message: string): HostError =>
  new HostError('egress-blocked', message, { rule, hint: 'pass "redirect": "manual" to see where it leads' });
