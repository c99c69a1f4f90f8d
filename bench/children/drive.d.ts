import type { Driven } from '../contenders/contender.ts';

export function drive(ask: () => Promise<unknown>, count: number, inFlight: number): Promise<Driven>;
