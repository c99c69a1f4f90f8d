/** The calls that one runtime is answering: whose they are, and when there is none. */
export function createCallsUnderWay() {
  const callers = new Map<string, number>();
  const waiting = new Set<() => void>();
  let listed: string | null | undefined; // undefined: to be listed anew

  return {
    /** Notes a call of this token; what it returns is run when the call has ended. */
    begin(token: string): () => void {
      if (!callers.has(token)) listed = undefined;
      callers.set(token, (callers.get(token) ?? 0) + 1);
      return () => {
        const left = (callers.get(token) ?? 1) - 1;
        if (left > 0) callers.set(token, left);
        else {
          callers.delete(token);
          listed = undefined;
        }
        if (callers.size > 0) return;
        for (const resolve of waiting) resolve();
        waiting.clear();
      };
    },
    /** Bounded, because it goes into every row that the calls cause. */
    actor(): string | null {
      if (listed === undefined) listed = [...callers.keys()].sort().slice(0, 4).join(',') || null;
      return listed;
    },
    whenNone: (): Promise<void> => (callers.size === 0 ? Promise.resolve() : new Promise((resolve) => void waiting.add(resolve))),
  };
}

export type CallsUnderWay = ReturnType<typeof createCallsUnderWay>;
