/** Runs jobs of one key one after the other, in the order in which they came; different keys do not wait for each other. */
export function createKeyedQueue() {
  const tails = new Map<string, Promise<unknown>>();
  return {
    run<Result>(key: string, job: () => Promise<Result>): Promise<Result> {
      const result = (tails.get(key) ?? Promise.resolve()).then(job, job);
      const tail = result
        .catch(() => {})
        .then(() => {
          if (tails.get(key) === tail) tails.delete(key);
        });
      tails.set(key, tail);
      return result;
    },
  };
}
