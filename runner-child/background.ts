import type { Timers } from '../protocol/deadlines.ts';
import type { BackgroundTask, OwnContext } from './define-plugin.ts';

type Deps = { timers: Timers; report(error: unknown): void };

/** Runs the plugin's background tasks until the signal is aborted; resolves when the last one has ended. */
export async function runBackground(
  tasks: Readonly<Record<string, BackgroundTask>>,
  context: OwnContext,
  { timers, report }: Deps,
): Promise<void> {
  const { signal } = context;

  const pause = (delayMs: number): Promise<void> =>
    new Promise((resolve) => {
      const done = () => {
        timer.cancel();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = timers.timer(delayMs, done);
      signal.addEventListener('abort', done);
    });

  async function repeat(name: string, task: BackgroundTask): Promise<void> {
    while (!signal.aborted) {
      try {
        await task.run(context);
      } catch (error) {
        if (!signal.aborted) report(new Error(`background task ${name} failed`, { cause: error }));
      }
      if (task.everyMs === undefined || signal.aborted) return;
      await pause(task.everyMs);
    }
  }

  await Promise.all(Object.entries(tasks).map(([name, task]) => repeat(name, task)));
}
