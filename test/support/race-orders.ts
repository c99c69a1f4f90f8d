import type { Status } from '../../supervisor/plugin-lifecycle.ts';

/** What one of many operators asks of one plugin. */
export type Order = {
  kind: 'status' | 'upgrade' | 'rollback' | 'config';
  method: 'POST' | 'PUT';
  path: string;
  body: Record<string, unknown>;
  wanted: Status | null;
  isStale: boolean; // with a condition that cannot hold
};

/** Numbers from 0 to 1 that are the same for the same seed. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const mix = [
  ['installed', 12],
  ['active', 26],
  ['disabled', 22],
  ['verified', 6], // nobody returns there, so this is always refused or nothing
  ['upgrade', 12],
  ['rollback', 10],
  ['config', 12],
] as const;
const total = mix.reduce((sum, [, weight]) => sum + weight, 0);

export function makeOrders(id: string, seed: number, count: number): Order[] {
  const random = createRandom(seed);
  return Array.from({ length: count }, (_, at) => {
    return { ...makeOrder(id, pick(random() * total), at), isStale: random() < 0.08 };
  });
}

type Name = (typeof mix)[number][0];

function pick(point: number): Name {
  let left = point;
  for (const [name, weight] of mix) {
    left -= weight;
    if (left < 0) return name;
  }
  return 'active';
}

function makeOrder(id: string, name: Name, at: number): Omit<Order, 'isStale'> {
  if (name === 'config') return { kind: name, method: 'PUT', path: `/api/plugins/${id}/config`, body: { at }, wanted: null };
  if (name === 'upgrade' || name === 'rollback')
    return { kind: name, method: 'POST', path: `/api/plugins/${id}/${name}`, body: {}, wanted: null };
  return { kind: 'status', method: 'POST', path: '/api/plugins/lifecycle', body: { id, status: name }, wanted: name };
}
