import t from 'tap';
import type { Health } from '../../supervisor/plugin-store.ts';
import type { Exit } from '../../supervisor/runner.ts';
import { openFakeRuntime, settle } from '../support/fake-runtime.ts';

const crash: Exit = { cause: 'exit-code', code: 3, signal: null, detail: 'it ended without a reply' };

/** An armed plugin whose runner has a process for each action. */
async function openArmed(health: Partial<Health> = {}) {
  const opened = openFakeRuntime({ health });
  await opened.ready();
  return { ...opened, events: opened.runner.last().events };
}

t.test(
  'given an armed plugin, when the process of one action crashes, then it is counted and told, and the plugin stays armed',
  async (t) => {
    const { runtime, saved, output, events, runner } = await openArmed();

    events.crashed(crash);

    t.match(runtime.view(), {
      state: 'armed',
      restarts: 1,
      generation: 1,
      message: 'an action crashed: exit-code, exit code 3, it ended without a reply',
    });
    t.match(saved.at(-1), { broken: false, exits: [{ cause: 'exit-code', code: 3, generation: 1 }], crashTimesMs: { length: 1 } });
    t.match(output, [/^supervisor: an action crashed/]);
    t.same(runner.last().log, []);
  },
);

t.test(
  'given four crashed actions, when a fifth crashes within ten minutes, then the generation is killed and the plugin has failed',
  async (t) => {
    const { runtime, saved, runner, events } = await openArmed();
    for (let count = 0; count < 4; count++) events.crashed(crash);
    t.equal(runtime.state(), 'ready');

    events.crashed(crash);

    t.same(runner.last().log, ['kill']);
    runner.last().exit({ cause: 'stopped', code: null });
    t.match(runtime.view(), { state: 'failed', message: /exit-code/ });
    t.match(saved.at(-1), { broken: true, exits: { length: 5 }, crashTimesMs: { length: 5 } });
  },
);

t.test('given four crashed actions, when ten minutes of health pass, then a fifth does not end it', async (t) => {
  const { runtime, clock, runner, events } = await openArmed();
  for (let count = 0; count < 4; count++) events.crashed(crash);
  for (let tens = 0; tens < 61; tens++) await clock.advance(10_000); // each with its ping

  events.crashed(crash);

  t.equal(runtime.state(), 'ready');
  t.notOk(runner.last().log.includes('kill'));
});

t.test('given an action that lost its sandbox, when it ends, then the generation ends for good', async (t) => {
  const { runtime, runner, events } = await openArmed();

  events.crashed({ cause: 'sandbox-unavailable', code: null, signal: null, detail: '' });

  t.same(runner.last().log, ['kill']);
  runner.last().exit({ cause: 'stopped', code: null });
  t.equal(runtime.state(), 'failed');
});

t.test('given a plugin that is being stopped, or one that has ended, when an action crashes, then nothing is counted', async (t) => {
  const { runtime, saved, runner, events } = await openArmed();
  runtime.command('stop');
  events.crashed(crash);
  t.same(saved, []);
  runner.last().exit({ cause: 'stopped', code: null });
  await settle();

  events.crashed(crash);

  t.equal(runtime.view().restarts, 0);
});
