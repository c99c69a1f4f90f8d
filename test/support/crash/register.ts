import { isDeepStrictEqual } from 'node:util';

/** What one thing is, as its only writer knows it. `open`: what it may be instead, while an ask has no answer. */
export type Register<T> = { known: T; open: T[] };

export const createRegister = <T>(known: T): Register<T> => ({ known, open: [] });

/** Asks for a change. Only an answer settles it; an ask that is cut off leaves open which of them came about. */
export async function change<T, A>(
  register: Register<T>,
  possible: readonly [T, ...T[]],
  ask: () => Promise<A>,
  outcome: (answer: A) => T,
): Promise<A> {
  register.open = [...possible];
  const answer = await ask();
  register.known = outcome(answer);
  register.open = [];
  return answer;
}

/** Compares with what is there after a crash, which is what counts from then on. False: an acknowledged change is lost, or one is half there. */
export function settle<T>(register: Register<T>, found: T): boolean {
  const isOne = [register.known, ...register.open].some((value) => isDeepStrictEqual(value, found));
  register.known = found;
  register.open = [];
  return isOne;
}
