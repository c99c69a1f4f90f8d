import type { State } from './runtime-states.ts';

/** Who waits for a runtime to enter one of some states. Every state that is waited in has a deadline, so each wait ends. */
export function createStateWaits(state: () => State) {
  const waiting = new Set<() => void>();
  return {
    reached(...wanted: readonly State[]): Promise<State> {
      if (wanted.includes(state())) return Promise.resolve(state());
      return new Promise((resolve) => {
        const look = () => {
          if (!wanted.includes(state())) return;
          waiting.delete(look);
          resolve(state());
        };
        waiting.add(look);
      });
    },
    tell(): void {
      for (const look of [...waiting]) look();
    },
  };
}
