import { lookup } from 'node:dns/promises';
import { HostError } from '../../protocol/errors.ts';

/** Resolves a name to every address it has, as the machine's own resolver says. */
export type Resolve = (host: string) => Promise<readonly string[]>;

export const resolveBySystem: Resolve = async (host) => (await lookup(host, { all: true, order: 'verbatim' })).map((row) => row.address);

const mostAddresses = 256;

/**
 * Looks one name up at a time for each owner. libuv gives look-ups two threads in all: a plugin whose name server never answers would
 * otherwise hold both, and nobody else could resolve anything. A caller who has gone away is skipped in the queue.
 */
export function createHostResolver(resolve: Resolve) {
  const tails = new Map<string, Promise<void>>();

  return async function resolveHost(owner: string, host: string, signal: AbortSignal): Promise<readonly string[]> {
    const before = tails.get(owner);
    const turn = Promise.withResolvers<void>();
    tails.set(owner, turn.promise);
    try {
      await before;
      signal.throwIfAborted();
      const addresses = [...new Set(await resolve(host))];
      if (addresses.length === 0 || addresses.length > mostAddresses) throw unresolved(host);
      return addresses;
    } catch (thrown) {
      throw signal.aborted || thrown instanceof HostError ? thrown : unresolved(host, thrown);
    } finally {
      turn.resolve();
      if (tails.get(owner) === turn.promise) tails.delete(owner);
    }
  };
}

const unresolved = (host: string, cause?: unknown): HostError =>
  new HostError(
    'unavailable',
    `${host} cannot be resolved`,
    { rule: 'dns', host, hint: 'check the name, and the name servers of the host' },
    { cause },
  );
