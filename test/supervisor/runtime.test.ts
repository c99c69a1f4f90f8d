import t from 'tap';
import { HostError } from '../../protocol/errors.ts';
import { openFakeRuntime, settle } from '../support/fake-runtime.ts';

function open(more: Parameters<typeof openFakeRuntime>[0] = {}) {
  const opened = openFakeRuntime(more);
  const ask = () => opened.runner.last().dispatch('kv.get', {}, { signal: new AbortController().signal });
  return { ...opened, ask };
}

t.test('given a start, when the child answers initialize, then it is armed, and only then may it ask', async (t) => {
  const { runtime, runner, ask } = open();
  const armed = runtime.arm();
  await settle();
  t.equal(runtime.state(), 'starting');
  t.equal(await ask(), 'none');
  runner.last().events.ready();
  t.same(await armed, { ok: true });
  t.equal(await ask(), 'all');
});

t.test(
  'given an armed child, when it is stopped, then shutdown is sent, the grant narrows, is revoked, and the process ends',
  async (t) => {
    const { runtime, runner, ask, ready, saved } = open();
    await ready();
    runner.last().answerShutdown = false;
    const stopped = runtime.stop();
    t.same(runner.last().log, ['shutdown']);
    t.equal(await ask(), 'own');
    await t.rejects(runtime.invoke('s', 'm', null, { timeoutMs: 1 }), { code: 'unavailable' });
    runner.last().events.violated('x', 'y');
    t.equal(await ask(), 'none');
    runner.last().exit({ signal: 'SIGKILL', code: null, cause: 'signal' });
    await stopped;
    t.equal(runtime.state(), 'stopped');
    t.equal(saved.at(-1)?.exits[0]?.cause, 'protocol-violation', 'a violation during shutdown is still named');
  },
);

t.test('given a child that ignores everything, when it is stopped, then it is killed within 5 seconds', async (t) => {
  const { runtime, runner, ready, clock } = open();
  await ready();
  runner.last().answerShutdown = false;
  runtime.command('stop');
  await clock.advance(2000);
  t.same(runner.last().log, ['shutdown', 'terminate']);
  await clock.advance(2000);
  t.same(runner.last().log, ['shutdown', 'terminate', 'kill']);
  runner.last().exit({ signal: 'SIGKILL', code: null, cause: 'signal' });
  t.equal(runtime.state(), 'stopped');
  t.equal(clock.pending(), 0, 'no timer is left');
});

t.test(
  'given a child that never becomes ready, when its deadline passes, then it is ended and started again after the backoff',
  async (t) => {
    const { runtime, runner, clock } = open();
    const armed = runtime.arm();
    await settle();
    await clock.advance(10_000);
    t.same(runner.last().log, ['terminate']);
    runner.last().exit({ code: 0 });
    t.match(await armed, { ok: false, cause: 'not-ready-in-time' });
    t.equal(runtime.view().state, 'restarting');
    t.equal(runtime.view().next_retry_at, new Date(clock.wallMs() + 1000).toISOString());
    await clock.advance(1000);
    t.equal(runner.runs.length, 2);
    t.equal(runner.last().launch.generation, 2);
  },
);

t.test('given an armed child, when three pings stay unanswered, then it is hung and ended; an answered one keeps it', async (t) => {
  const { runtime, runner, clock, ready } = open();
  await ready();
  for (let minute = 0; minute < 10; minute++) await clock.advance(60_000);
  t.equal(runtime.state(), 'ready');
  runner.last().answerPing = false;
  await clock.advance(33_000);
  t.equal(runtime.state(), 'terminating');
  runner.last().exit({ signal: 'SIGTERM', code: null, cause: 'signal' });
  t.equal(runtime.why().exits[0]?.cause, 'hung');
});

t.test(
  'given five crashes within ten minutes, when the fifth comes, then it has failed until it is started afresh, and that is persisted',
  async (t) => {
    const { runtime, runner, clock, saved, ready } = open();
    await ready();
    for (let crash = 1; crash <= 5; crash++) {
      runner.last().exit({ code: 7 });
      if (crash === 5) break;
      t.equal(runtime.view().state, 'restarting');
      await clock.advance(1000 * 2 ** (crash - 1)); // the pause doubles
      t.equal(runner.runs.length, crash + 1);
      runner.last().events.ready();
    }
    t.equal(runtime.view().state, 'failed');
    t.equal(saved.at(-1)?.broken, true);
    t.match(runtime.view().message, /given up after 5 crashes within 10 minutes; try again: lattice plugins reset example\.test; gen.*7/);
    await t.rejects(runtime.invoke('tool', 'say', null, { timeoutMs: 1 }), {
      message: /after 5 crashes/,
      details: { hint: /plugins why.*plugins reset/ },
    });
    await clock.advance(3_600_000);
    t.equal(runner.runs.length, 5, 'not started again by time');
    runtime.command('start');
    await settle();
    t.equal(runner.runs.length, 6);
    t.same([saved.at(-1)?.broken, saved.at(-1)?.crashTimesMs], [false, []]);
  },
);

for (const [order, start] of [
  ['reset', (runtime: ReturnType<typeof open>['runtime']) => runtime.reset()],
  ['activated', (runtime: ReturnType<typeof open>['runtime']) => runtime.arm()],
] as const) {
  t.test(
    `given a breaker that opened before the service was restarted, when it is ${order}, then that waits and starts afresh`,
    async (t) => {
      const { runtime, runner, saved } = open({ health: { broken: true, crashTimesMs: [1] } });
      runtime.markBroken();
      t.match(runtime.view().message, /given up after 5 crashes.*, before the service was restarted; .*plugins reset example\.test/);

      const armed = start(runtime);
      await settle();
      t.match(runtime.view(), { state: 'starting', message: null });
      runner.last().events.ready();

      t.same(await armed, { ok: true });
      t.match(runtime.view(), { state: 'armed', message: null });
      t.equal(saved.at(-1)?.broken, false);
    },
  );
}

t.test('given a plugin that was given up and disabled, when it is activated, then its crashes are forgotten', async (t) => {
  const { runtime, runner, saved } = open({ health: { broken: true, crashTimesMs: [1] } });
  runtime.markBroken();
  await runtime.stop();

  const armed = runtime.arm();
  await settle();
  runner.last().events.ready();

  t.same(await armed, { ok: true });
  t.match(saved.at(-1), { broken: false, crashTimesMs: [] }, 'the next start of the service does not go by them');
});

t.test('given crashes more than ten minutes apart, when there are many, then the budget is never spent', async (t) => {
  const { runtime, runner, clock, ready } = open();
  await ready();
  for (let crash = 0; crash < 20; crash++) {
    runner.last().exit({ code: 7 });
    t.equal(runtime.view().state, 'restarting');
    await clock.advance(1000); // the first pause, each time
    runner.last().events.ready();
    await clock.advance(601_000);
  }
});

for (const [what, exit, cause] of [
  ['a configuration exit code', { cause: 'configuration', code: 78 }, 'configuration'],
  ['too little of a sandbox', { cause: 'sandbox-unavailable', code: 1 }, 'sandbox-unavailable'],
] as const) {
  t.test(`given ${what}, when the child ends so, then it has failed at once`, async (t) => {
    const { runtime, runner, ready } = open();
    await ready();
    runner.last().exit(exit);
    t.equal(runtime.state(), 'failed');
    t.equal(runtime.why().exits[0]?.cause, cause);
  });
}

t.test(
  'given a bundle that may not run any more, when it is to be started, then it fails as trust-lost and nothing is spawned',
  async (t) => {
    const { runtime, runner } = open({ prepare: () => Promise.reject(new HostError('verification-failed', 'key-revoked: gone')) });
    t.match(await runtime.arm(), { ok: false, cause: 'trust-lost' });
    t.same([runtime.state(), runner.runs.length], ['failed', 0]);
  },
);

t.test('given a runner that cannot spawn, when it throws, then that counts as a crash', async (t) => {
  const { runtime, runner } = open();
  runner.failWith = new Error('EAGAIN');
  t.match(await runtime.arm(), { ok: false, cause: 'spawn-failed' });
  t.equal(runtime.view().state, 'restarting');
});

t.test(
  'given a disk that takes nothing, when the child has ended, then its start is tried until it is recorded, and counts as no crash',
  async (t) => {
    let full = false;
    let generation = 0;
    const refused = () => Promise.reject(new HostError('storage-unavailable', 'the disk is full'));
    const { runtime, runner, clock, ready } = open({ nextGeneration: () => (full ? refused() : Promise.resolve(++generation)) });
    await ready();
    full = true;
    runner.last().exit({ cause: 'signal', code: null, signal: 'SIGKILL' });
    await clock.advance(60_000);

    t.same([runtime.view().state, runtime.view().restarts], ['restarting', 1]);
    t.match(
      runtime.why().exits.map(({ cause }) => cause),
      ['storage-unavailable', 'signal'],
      'the tries are one line',
    );
    full = false;
    await clock.advance(2000);
    t.equal(runner.runs.length, 2);
    t.equal(runtime.state(), 'starting');
  },
);

t.test('given a start that comes while stopping, when the child has gone, then it is acted on', async (t) => {
  const { runtime, runner, ready } = open();
  await ready();
  runtime.command('stop');
  runtime.command('start');
  await settle();
  runner.last().exit({ code: 0 });
  await settle();
  t.equal(runner.runs.length, 2);
  t.equal(runtime.state(), 'starting');
});

t.test('given facts of a generation that is over, when they come late, then they change nothing', async (t) => {
  const { runtime, runner, clock, ready } = open();
  await ready();
  const old = runner.last();
  old.exit({ code: 1 });
  await clock.advance(1000);
  runner.last().events.ready();
  old.exit({ code: 1 });
  old.events.violated('late', 'late');
  t.equal(runtime.state(), 'ready');
  t.equal(await old.dispatch('kv.get', {}, { signal: new AbortController().signal }), 'none', 'its grant is gone');
});

t.test('given a wall clock that jumps a year either way, when time goes on, then nothing restarts and no timer fires', async (t) => {
  const { runtime, runner, clock, ready } = open();
  await ready();
  for (const years of [1, -2]) {
    clock.setWall(clock.wallMs() + years * 365 * 86_400_000);
    await clock.advance(20_000);
  }
  t.equal(runtime.state(), 'ready');
  t.equal(runner.runs.length, 1);
});

t.test('given a stop that comes before the process exists, when it is started meanwhile, then it is ended', async (t) => {
  const { runtime, runner } = open();
  runtime.command('start');
  runtime.command('stop');
  await settle();
  t.equal(runner.runs.length, 0);
  t.equal(runtime.state(), 'stopped');
});

t.test('given an end that was not asked for, when it is explained, then the last lines and the last host call are there', async (t) => {
  const { runtime, runner, ask, ready, output, audit } = open();
  await ready();
  await ask();
  runner.last().events.output('stderr', 'TypeError: boom');
  runner.last().exit({ code: 1 });
  t.match(runtime.why().exits[0], { cause: 'exit-code', code: 1, stderr_tail: ['TypeError: boom'], last_host_call: 'kv.get' });
  t.ok(output.some((line) => line.startsWith('supervisor: generation 1 ended: exit-code, exit code 1')));
  t.ok(audit.some((entry) => entry.kind === 'plugin.runtime' && entry.code === 'exit-code'));
});

t.test('given calls that are not answered, when somebody asks why, then they are told, until anything is answered', async (t) => {
  const { runtime, runner, clock, ready } = open();
  await ready();
  const late = new HostError('deadline-exceeded', 'no answer', { rule: 'no-answer' });
  const options = { timeoutMs: 3000 };
  t.equal(runtime.why().owed, null);

  runner.last().invoke = () => new Promise(() => {});
  void runtime.invoke('tool', 'spin', null, options);
  runner.last().answerPing = false;
  runner.last().invoke = () => Promise.reject(late);
  await t.rejects(runtime.invoke('tool', 'spin', null, options), { message: 'tool.spin did not answer within its timeout_ms (3000)' });
  await clock.advance(14_000);
  t.match(runtime.why().owed, { calls_open: 1, calls_given_up: 1, last_answer_ms: 14_000 });

  runner.last().answerPing = true;
  await clock.advance(10_000);
  t.match(runtime.why().owed, { calls_open: 1, calls_given_up: 0, last_answer_ms: 4_000 });
});

t.test('given runs of a version, when they have ended, then each is told with it', async (t) => {
  const { runtime, runner, ready } = open();
  await ready();
  const { version } = runner.last().launch.plugin;
  runner.last().exit({ code: 7 });
  t.match(runtime.why().exits, [{ generation: 1, version }]);
});
