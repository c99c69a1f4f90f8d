import { HostError } from '../../../protocol/errors.ts';
import { type Clock, delay } from '../../clock.ts';
import { createGuardedClient, type GuardedClient } from '../../host/guarded-client.ts';
import type { exchange } from '../../host/http-exchange.ts';
import type { FixtureResponse } from '../fixture/fixture-schema.ts';
import { createResponseMatcher } from '../fixture/match-fixture.ts';

/** Any name leads here: a public address, which the rules let pass, and which nobody ever connects to. */
const somewherePublic = '198.41.0.4';

export type MockHttpDeps = {
  responses: readonly FixtureResponse[];
  clock: Clock;
  /** Told where a redirect leads before it is followed. */
  onRedirect(from: URL, location: string): void;
  /** What answers when no recorded response does; null: nothing. */
  fallback: FixtureResponse | null;
};

/** The real client with all its rules; only the connection is replaced, by responses from a fixture. */
export function createMockHttp({ responses, clock, onRedirect, fallback }: MockHttpDeps): GuardedClient {
  const find = createResponseMatcher(responses);
  const answerRecorded: typeof exchange = async ({ outgoing, signal }, use) => {
    const { method, url } = outgoing;
    const row = find(method, url.href) ?? fallback;
    if (row === null) throw notRecorded(method, url);
    if (row.delay_ms > 0) await delay(clock, row.delay_ms, signal);
    if (row.unreachable)
      throw new HostError('unavailable', `${url.hostname} did not answer`, { rule: 'timeout', hint: 'the fixture says so' });
    const { headers, body } = describeBody(row);
    if (headers.location !== undefined) onRedirect(url, headers.location);
    async function* stream(): AsyncGenerator<Buffer> {
      if (method !== 'HEAD' && body.length > 0) yield body;
    }
    return use({ status: row.status, headers, body: stream() });
  };
  return createGuardedClient({ clock, resolve: async () => [somewherePublic], ownAddresses: () => [], exchange: answerRecorded });
}

function describeBody(row: FixtureResponse): { headers: Record<string, string>; body: Buffer } {
  const headers = Object.fromEntries(Object.entries(row.headers).map(([name, value]) => [name.toLowerCase(), value]));
  if (row.json !== undefined)
    return { headers: { 'content-type': 'application/json', ...headers }, body: Buffer.from(JSON.stringify(row.json)) };
  return { headers, body: Buffer.from(row.body_base64 ?? row.body ?? '', row.body_base64 === undefined ? 'utf8' : 'base64') };
}

const notRecorded = (method: string, url: URL): HostError =>
  new HostError('unavailable', `no recorded response for ${method} ${url.origin}${url.pathname}`, {
    rule: 'not-recorded',
    hint: `nothing leaves the harness: add to the fixture  http: [{ url: "${url.origin}${url.pathname}*", status: 200, json: {} }]`,
  });
