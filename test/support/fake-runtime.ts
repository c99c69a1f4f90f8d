import type { AuditEntry } from '../../supervisor/audit.ts';
import type { Health } from '../../supervisor/plugin-store.ts';
import { createRuntime, type RuntimeDeps } from '../../supervisor/runtime.ts';
import { createFakeClock } from './fake-clock.ts';
import { createFakeRunner } from './fake-runner.ts';
import { createTestLaunch } from './launch.ts';
import { createQuietLog } from './quiet-log.ts';

export const settle = () => new Promise((resolve) => setImmediate(resolve));

/** A runtime on a played clock whose children are played by the test. */
export function openFakeRuntime(more: Partial<Omit<RuntimeDeps, 'health'>> & { health?: Partial<Health> } = {}) {
  const [clock, runner, log] = [createFakeClock(), createFakeRunner(), createQuietLog()];
  const saved: Health[] = [];
  const audit: AuditEntry[] = [];
  const output: string[] = [];
  let generation = 0;
  const runtime = createRuntime({
    id: 'example.test',
    runner,
    clock,
    log,
    random: () => 0.5,
    saveHealth: async (health) => void saved.push(health),
    nextGeneration: async () => ++generation,
    prepare: async (of) => createTestLaunch(of),
    createDispatch: (_launch, askable) => async () => askable(),
    append: async (entry) => void audit.push(entry),
    onOutput: (_generation, source, text) => void output.push(`${source}: ${text}`),
    ...more,
    health: { exits: [], crashTimesMs: [], broken: false, generation: 0, ...more.health },
  });
  async function ready(): Promise<void> {
    runtime.command('start');
    await settle();
    runner.last().events.ready();
  }
  return { clock, runner, runtime, saved, audit, output, log, ready };
}
