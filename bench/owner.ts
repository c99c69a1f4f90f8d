import type { Test } from 'tap';

/** Stands in for a test where the set-up of tests is used: all it asks for is where to put what is to be undone. */
export function createOwner() {
  const ends: (() => unknown)[] = [];
  return {
    owner: { teardown: (end: () => unknown) => void ends.unshift(end) } as unknown as Test, // nothing else of it is used
    async end(): Promise<void> {
      for (const end of ends.splice(0)) await end();
    },
  };
}
