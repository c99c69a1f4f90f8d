import t from 'tap';
import { asHostError } from '../../protocol/errors.ts';
import type { FaultAction } from '../../supervisor/dev/faults/fault-actions.ts';
import { type FaultOutcome, faultTable } from '../../supervisor/dev/faults/fault-table.ts';
import { createFaultDecider, parseFault } from '../../supervisor/dev/faults/faults.ts';
import { interpose } from '../../supervisor/dev/harness/interposer.ts';
import { pingEveryMs } from '../../supervisor/runtime-states.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';
import { readFault } from '../support/kill-steps.ts';
import { openWorkshop, type RealRuntime } from '../support/real-runtime.ts';

const workshop = await openWorkshop();
type Stage = { real: RealRuntime; clock: FakeClock; acted: () => boolean; action: FaultAction };

/** A lost message shows when its deadline has passed, a late one when it comes; all else shows by itself. */
async function passTime({ real, clock, action }: Stage, isOver: () => boolean): Promise<void> {
  if (action === 'delay') await clock.advance(1_000);
  const isEnding = () => real.runtime.state() === 'terminating'; // from here the process itself must be waited for
  for (let step = 0; action === 'drop' && step < 60 && !isOver() && !isEnding(); step++) {
    await clock.advance(1_500);
    for (let turn = 0; turn < 5 && !isOver(); turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  await eventually(isOver);
  real.wake();
}

/** Brings the child to the step at which the fault acts, and says how the call under way ended. */
const drive: Record<'start' | 'call' | 'ping' | 'stop', (stage: Stage, call: string) => Promise<string | null>> = {
  async start(stage) {
    const { real } = stage;
    real.runtime.command('start');
    await eventually(stage.acted);
    await passTime(stage, () => real.entered.some((state) => ['ready', 'backoff'].includes(state)));
    return null;
  },
  async call(stage, name) {
    const { real } = stage;
    await real.arm();
    const method = name.startsWith('kv.') ? 'put' : 'echo';
    let settled: string | null = null;
    const call = real.invoke(method, { key: 'a', value: 'b' }, 5_000).then(
      () => 'answered',
      (error) => asHostError(error).code,
    );
    void call.then((how) => {
      settled = how;
    });
    await eventually(stage.acted);
    await passTime(stage, () => settled !== null);
    return call;
  },
  async ping(stage) {
    await stage.real.arm();
    for (let turn = 0; !stage.acted(); turn++) {
      await stage.clock.advance(turn === 0 ? pingEveryMs : 0);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return null;
  },
  async stop(stage) {
    await stage.real.arm();
    stage.real.runtime.command('stop');
    await eventually(stage.acted);
    await passTime(stage, () => stage.real.runtime.state() === 'stopped');
    return null;
  },
};
const driveOf = (step: string) =>
  step.startsWith('initialize')
    ? drive.start
    : step.startsWith('ping')
      ? drive.ping
      : step.startsWith('shutdown')
        ? drive.stop
        : drive.call;

for (const [step, rows] of Object.entries(faultTable)) {
  for (const [action, expected] of Object.entries(rows) as [FaultAction, FaultOutcome][]) {
    t.test(
      `given the fault ${action}@${step}, when it acts, then the call ends ${expected.call}, the process ${expected.ends}`,
      async (t) => {
        const clock = createFakeClock();
        let acted = false;
        const faults = createFaultDecider([parseFault(`${action}@${step}${step.startsWith('ping') ? '' : '#1'}`)], () => {
          acted = true;
        });
        const real = workshop.open(t, {
          artifact: readFault('steps.js'),
          clock,
          runnerClock: clock,
          interpose: (wire) => interpose(wire, { onLine: () => {}, decide: faults.decide, clock }),
        });
        const stage: Stage = { real, clock, acted: () => acted, action };

        const call = await driveOf(step)(stage, step);
        if (expected.ends !== null) await passTime(stage, () => real.lastExit() !== undefined);

        t.equal(call, expected.call, 'the call');
        t.equal(real.lastExit()?.cause ?? null, expected.ends, 'the process');
        if (expected.ends === null) t.equal(await real.invoke('echo', 'still there'), 'still there');
      },
    );
  }
}
