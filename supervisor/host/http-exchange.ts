import { isIPv6, type LookupFunction, Socket } from 'node:net';
import type { buildConnector } from 'undici';
import { HostError } from '../../protocol/errors.ts';
import { classifyFailure, nameError } from './connection-causes.ts';
import { decodeBody, findDecoder, tooLarge } from './decode-body.ts';
import type { Outgoing } from './fetch-request.ts';

export type ReceivedHeaders = Readonly<Record<string, string>>;
export type Received = { status: number; headers: ReceivedHeaders; body: AsyncIterable<Buffer> };

export const answerLimits = { headers: 128, headerBytes: 32 * 1024, overheadBytes: 64 * 1024, addressesTried: 8, attemptMs: 2000 } as const;

/**
 * Sends one request on a connection of its own, which is gone afterwards. The name stands in SNI, Host and the certificate check; the
 * connection goes to the addresses that were checked, whatever the name would resolve to by now. undici's Client reads no proxy setting.
 */
export async function exchange<T>(
  deps: { outgoing: Outgoing; addresses: readonly string[]; ca: readonly string[] | undefined; signal: AbortSignal },
  use: (received: Received) => Promise<T>,
): Promise<T> {
  const { outgoing, addresses, ca, signal } = deps;
  const undici = await import('undici'); // some MiB that a service whose plugins never fetch does without
  const client = new undici.Client(outgoing.url.origin, {
    connect: createConnector(undici.buildConnector, { addresses, ca, signal }),
    pipelining: 1,
    headersTimeout: 0, // the caller's signal carries the one deadline, for every phase
    bodyTimeout: 0,
    maxHeaderSize: answerLimits.headerBytes,
  });
  try {
    const { pathname, search } = outgoing.url;
    const request = {
      path: pathname + search,
      method: outgoing.method,
      headers: outgoing.headers,
      body: outgoing.body,
      signal,
      reset: true,
    };
    const { statusCode, headers, body } = await client.request(request);
    body.on('error', () => {}); // a body that is not read still ends, with an error, when the connection goes
    return await use({ status: statusCode, headers: joinHeaders(headers), body });
  } catch (thrown) {
    throw signal.aborted || thrown instanceof HostError ? thrown : asUnavailable(outgoing.url, thrown);
  } finally {
    await client.destroy().catch(() => {});
  }
}

type Route = { addresses: readonly string[]; ca: readonly string[] | undefined; signal: AbortSignal };

function createConnector(build: typeof buildConnector, { addresses, ca, signal }: Route): buildConnector.connector {
  const connector = build({
    lookup: pinTo(addresses.slice(0, answerLimits.addressesTried)),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: answerLimits.attemptMs,
    timeout: 0,
    allowH2: false,
    maxCachedSessions: 0,
    rejectUnauthorized: true, // said aloud, so that NODE_TLS_REJECT_UNAUTHORIZED cannot unsay it
    ...(ca === undefined ? {} : { ca: [...ca] }),
  });
  return (options, callback) => {
    // The typing says void, the documentation a socket. One that is still connecting would outlive its client by minutes.
    const socket: unknown = connector(options, callback);
    signal.addEventListener('abort', () => void (socket instanceof Socket && socket.destroy()), { once: true });
  };
}

function pinTo(addresses: readonly string[]): LookupFunction {
  const rows = addresses.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }));
  return (_host, options, callback) => {
    const [first] = rows;
    if (first === undefined) callback(new Error('no address'), '', 4);
    else if (options.all === true) callback(null, rows);
    else callback(null, first.address, first.family);
  };
}

/** One string a name. Set-Cookie values are joined by a line feed, which no value can hold; a comma may stand inside one. */
function joinHeaders(headers: Readonly<Record<string, string | string[] | undefined>>): ReceivedHeaders {
  const joined = new Map<string, string>();
  let lines = 0;
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || name === '__proto__') continue;
    const values = Array.isArray(value) ? value : [value];
    lines += values.length;
    joined.set(name.toLowerCase(), values.join(name.toLowerCase() === 'set-cookie' ? '\n' : ', '));
  }
  if (lines > answerLimits.headers) throw headersTooLarge();
  return Object.fromEntries(joined);
}

/** Reads the body within the cap, on the wire and decoded. Names in the headers what the body now is. */
export async function readBody(received: Received, mostBytes: number): Promise<{ headers: ReceivedHeaders; body: Buffer }> {
  const decode = findDecoder(received.headers['content-encoding']);
  const mostOnWire = decode === null ? mostBytes : mostBytes + answerLimits.overheadBytes; // what does not compress grows a little
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of received.body) {
    bytes += chunk.length;
    if (bytes > mostOnWire) throw tooLarge(mostBytes);
    chunks.push(chunk);
  }
  const raw = Buffer.concat(chunks, bytes);
  if (decode === null || raw.length === 0) return { headers: received.headers, body: raw };
  const body = await decodeBody(decode, raw, mostBytes);
  if (body.length > mostBytes) throw tooLarge(mostBytes);
  const { 'content-encoding': _encoding, 'content-length': _length, ...headers } = received.headers;
  return { headers, body };
}

const headersTooLarge = (): HostError =>
  new HostError('payload-too-large', 'the headers of the answer are too large', {
    rule: 'headers-too-large',
    hint: `at most ${answerLimits.headers} headers and ${answerLimits.headerBytes} bytes of them are read`,
  });

function asUnavailable(url: URL, thrown: unknown): HostError {
  const names = nameError(thrown);
  if (names.includes('UND_ERR_HEADERS_OVERFLOW')) return headersTooLarge();
  const { rule, hint } = classifyFailure(thrown);
  return new HostError('unavailable', `no answer from ${url.host}: ${rule}`, { rule, host: url.hostname, hint }, { cause: names[0] });
}
