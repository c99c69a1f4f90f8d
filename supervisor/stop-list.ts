/** What was started, to be stopped in the reverse order; one that fails does not keep the others from being stopped. */
export function createStopList() {
  const stops: (() => unknown)[] = [];
  let running: Promise<void> | null = null;

  async function stopAll(): Promise<void> {
    const faults: unknown[] = [];
    for (let stop = stops.pop(); stop; stop = stops.pop()) {
      try {
        await stop();
      } catch (error) {
        faults.push(error);
      }
    }
    if (faults.length > 0) throw faults[0];
  }

  return {
    add: (stop: () => unknown): void => void stops.push(stop),
    run(): Promise<void> {
      running ??= stopAll();
      return running;
    },
  };
}
