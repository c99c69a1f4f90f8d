import { HostError } from '../protocol/errors.ts';
import { restartPolicy } from './restart-policy.ts';
import type { PublicState } from './runtime-states.ts';

const crashes = `${restartPolicy.intensity} crashes within ${restartPolicy.periodMs / 60_000} minutes`;

/** What is said of a plugin that is not started again by itself. */
export const givenUp = (id: string, when = ''): string => `given up after ${crashes}${when}; try again: lattice plugins reset ${id}`;

/** For a call that comes while nobody can answer it. */
export function notArmed(id: string, state: PublicState, isGivenUp: boolean): HostError {
  const why = isGivenUp ? `: it was given up after ${crashes}` : '';
  const hint = `see why: lattice plugins why ${id}${isGivenUp ? `, then: lattice plugins reset ${id}` : ''}`;
  return new HostError('unavailable', `${id} is ${state}, not armed${why}`, { hint });
}
