import type { Route } from './route.ts';

/** Where a request goes: the row that the router found for it, with what stood in the path. `read`: the same, checked; null until then. */
export type Target = { route: Route; params: Record<string, string>; read: unknown };

const mostTargets = 1024;
const mostCharacters = 256;

/**
 * What the router found, by method and request target, so that it need not match dozens of expressions again for what is asked again and again.
 * Only what an authorised caller asked for is kept, the oldest goes first, and a target with a query is not kept.
 */
export function createKnownTargets() {
  const known = new Map<string, Target>();
  return {
    find: (method: string, url: string): Target | undefined => known.get(`${method} ${url}`),
    keep(method: string, url: string, target: Target): void {
      if (url.length > mostCharacters) return;
      if (known.size >= mostTargets) for (const oldest of known.keys()) if (known.delete(oldest)) break;
      known.set(`${method} ${url}`, target);
    },
  };
}
