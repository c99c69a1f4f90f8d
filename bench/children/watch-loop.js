import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

/** Loaded into the service by NODE_OPTIONS: at each SIGUSR2 it says how late its event loop was since the last one. */
if (isMainThread) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  process.on('SIGUSR2', () => {
    const ms = (nanoseconds) => nanoseconds / 1e6;
    const said = { p50Ms: ms(delay.percentile(50)), p99Ms: ms(delay.percentile(99)), mostMs: ms(delay.max) };
    delay.reset();
    process.stderr.write(`${JSON.stringify({ event: 'bench.delay', ...said })}\n`);
  });
}
