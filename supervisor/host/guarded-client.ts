import { networkInterfaces } from 'node:os';
import { HostError } from '../../protocol/errors.ts';
import type { Clock } from '../clock.ts';
import { runWithDeadline } from '../deadline.ts';
import { decideAddress } from './address-rules.ts';
import { acceptedEncodings } from './decode-body.ts';
import { canonicalAddress, type Exemption, isPlainName } from './egress-rules.ts';
import { checkHeaders, followRedirect, type Outgoing, parseTarget, portOf, requestLimits } from './fetch-request.ts';
import { exchange, type Received, type ReceivedHeaders, readBody } from './http-exchange.ts';
import { createHostResolver, type Resolve, resolveBySystem } from './resolve-host.ts';

export type FetchRequest = {
  url: string;
  method: string;
  headers?: Readonly<Record<string, string>>;
  body?: Buffer | null;
  redirect: 'follow' | 'manual';
  timeoutMs: number;
  maxBytes: number;
  ignoreBody?: boolean; // only the status matters: the answer's body is not read
  signal?: AbortSignal;
};

/** Who asks, what the asker may reach, and which addresses beyond the public ones are open to it. */
export type FetchPolicy = { owner: string; isListed(host: string, port: number): boolean; exemptions: readonly Exemption[] };
export type FetchAnswer = { status: number; headers: ReceivedHeaders; body: Buffer; url: string; redirects: number };
export type GuardedClient = { fetch(request: FetchRequest, policy: FetchPolicy): Promise<FetchAnswer> };

export type GuardedClientDeps = {
  clock: Clock;
  resolve?: Resolve;
  ca?: readonly string[]; // instead of the system's; for tests
  ownAddresses?: () => readonly string[];
  exchange?: typeof exchange; // instead of a connection: recorded answers, under the same rules
};

const listOwnAddresses = (): string[] => Object.values(networkInterfaces()).flatMap((rows) => rows?.map((row) => row.address) ?? []);

/** The only way out to the network for whatever a plugin had a say in. Every failure is a HostError that tells no query, header or body. */
export function createGuardedClient(deps: GuardedClientDeps): GuardedClient {
  const resolveHost = createHostResolver(deps.resolve ?? resolveBySystem);
  const ownAddresses = deps.ownAddresses ?? listOwnAddresses;
  const send = deps.exchange ?? exchange;

  /** The addresses that this hop may connect to. One bad address refuses them all: it tells of a name that is not what it seems. */
  async function admit(url: URL, policy: FetchPolicy, signal: AbortSignal): Promise<readonly string[]> {
    const port = portOf(url);
    const literal = canonicalAddress(url.hostname);
    if (literal === null && !isPlainName(url.hostname))
      throw blocked(url, 'host-invalid', 'the host is not a plain name', 'write a DNS name without a trailing dot or underscores');
    if (!policy.isListed(url.hostname, port))
      throw blocked(url, 'egress-not-listed', `${url.hostname}:${port} is not in the egress list`, 'list it, or do not follow redirects');
    const addresses = literal === null ? await resolveHost(policy.owner, url.hostname, signal) : [literal];
    const own = new Set(ownAddresses().map((address) => canonicalAddress(address) ?? address));
    for (const address of addresses) {
      const verdict = decideAddress(address, port, { exemptions: policy.exemptions, own });
      if (!verdict.ok)
        throw blocked(
          url,
          verdict.rule,
          `${url.hostname}:${port} leads to what plugins may not reach: ${verdict.detail}`,
          addressHint(verdict.rule, port),
        );
    }
    return addresses;
  }

  async function run(request: FetchRequest, policy: FetchPolicy, signal: AbortSignal): Promise<FetchAnswer> {
    const finish = async (received: Received): Promise<{ headers: ReceivedHeaders; body: Buffer }> =>
      request.ignoreBody ? { headers: received.headers, body: Buffer.alloc(0) } : readBody(received, request.maxBytes);
    let outgoing = prepare(request);
    for (let redirects = 0; ; redirects++) {
      const hop: Outgoing = outgoing;
      const addresses = await admit(hop.url, policy, signal);
      const result = await send({ outgoing: hop, addresses, ca: deps.ca, signal }, async (received) => {
        const next = request.redirect === 'follow' ? followRedirect(hop, received.status, received.headers.location) : null;
        return next ?? { status: received.status, ...(await finish(received)), url: hop.url.href, redirects };
      });
      if ('redirects' in result) return result;
      if (redirects === requestLimits.redirects) throw tooManyRedirects();
      outgoing = result;
    }
  }

  return {
    fetch: (request, policy) =>
      runWithDeadline({ clock: deps.clock, timeoutMs: request.timeoutMs, outer: request.signal }, (signal) => run(request, policy, signal)),
  };
}

function prepare(request: FetchRequest): Outgoing {
  const defaults = { accept: '*/*', 'accept-encoding': acceptedEncodings, 'user-agent': 'lattice' };
  const headers = { ...defaults, ...checkHeaders(request.headers ?? {}) };
  return { url: parseTarget(request.url), method: request.method, headers, body: request.body ?? null };
}

const blocked = (url: URL, rule: string, message: string, hint: string): HostError =>
  new HostError('egress-blocked', message, { rule, host: url.hostname, port: portOf(url), hint });

const addressHint = (rule: string, port: number): string =>
  rule === 'address-metadata'
    ? 'cloud metadata services are never opened'
    : `an operator can open one network to this plugin: LATTICE_EGRESS_ALLOW=<plugin id>=<cidr>:${port}`;

const tooManyRedirects = (): HostError =>
  new HostError('unavailable', `more than ${requestLimits.redirects} redirects`, {
    rule: 'too-many-redirects',
    hint: 'ask the final address',
  });
