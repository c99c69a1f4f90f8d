/** Asks `count` times, so many at once, and says how long it took, each and all, and what it cost this process. */
export async function drive(ask, count, inFlight) {
  const latenciesMs = new Float64Array(count);
  let next = 0;
  const askOn = async () => {
    while (next < count) {
      const mine = next++;
      const startMs = performance.now();
      await ask();
      latenciesMs[mine] = performance.now() - startMs;
    }
  };
  const cpuBefore = process.cpuUsage();
  const startMs = performance.now();
  await Promise.all(Array.from({ length: inFlight }, askOn));
  const elapsedMs = performance.now() - startMs;
  const { user, system } = process.cpuUsage(cpuBefore);
  latenciesMs.sort();
  const at = (share) => latenciesMs[Math.min(count - 1, Math.floor(count * share))] * 1000;
  return { count, elapsedMs, cpuUs: user + system, p50Us: at(0.5), p99Us: at(0.99) };
}
