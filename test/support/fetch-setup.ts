import { parseExemption } from '../../supervisor/host/egress-rules.ts';
import {
  createGuardedClient,
  type FetchPolicy,
  type FetchRequest,
  type GuardedClient,
  type GuardedClientDeps,
} from '../../supervisor/host/guarded-client.ts';
import { createFakeClock, type FakeClock } from './fake-clock.ts';

/** A guarded client whose names all resolve to loopback unless said otherwise. */
export function createTestClient(options: Partial<GuardedClientDeps> = {}): { client: GuardedClient; clock: FakeClock } {
  const clock = createFakeClock();
  return { clock, client: createGuardedClient({ clock, resolve: async () => ['127.0.0.1'], ownAddresses: () => [], ...options }) };
}

/** Lists every host and opens loopback on these ports. */
export function openLoopback(...ports: number[]): FetchPolicy {
  const exemptions = ports.map((port) => {
    const parsed = parseExemption(`127.0.0.1:${port}`);
    if (typeof parsed === 'string') throw new Error(parsed);
    return parsed;
  });
  return { owner: 'example.test', isListed: () => true, exemptions };
}

export const get = (url: string, options: Partial<FetchRequest> = {}): FetchRequest => ({
  url,
  method: 'GET',
  redirect: 'follow',
  timeoutMs: 10_000,
  maxBytes: 65_536,
  ...options,
});
