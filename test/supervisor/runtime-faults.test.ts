import t from 'tap';
import { openFakeRuntime, settle } from '../support/fake-runtime.ts';

const fail = (): never => {
  throw new Error('a bug');
};
const reject = () => Promise.reject(new Error('a bug'));

/** Whatever else is broken around a transition, at once or later. */
const broken: Record<string, Parameters<typeof openFakeRuntime>[0]> = {
  'the store of crashes throws': { saveHealth: fail },
  'the store of crashes fails': { saveHealth: reject },
  'the audit throws': { append: fail },
  'the audit fails': { append: reject },
  'the log of the plugin throws': { onOutput: fail },
};
for (const [name, deps] of Object.entries(broken))
  t.test(`given that ${name}, when a child crashes and is stopped, then its life goes on as ever`, async (t) => {
    const { runtime, runner, clock, ready } = openFakeRuntime(deps);
    await ready();
    runner.last().events.output('stderr', 'a line');
    runner.last().exit({ cause: 'signal', code: null, signal: 'SIGSEGV' });
    t.equal(runtime.state(), 'backoff');
    await clock.advance(1_000);
    await settle();
    runner.last().events.ready();
    t.match(runtime.view(), { state: 'armed', generation: 2, restarts: 1 });

    const stopped = runtime.stop();
    await settle();
    runner.last().exit({ code: 0 });
    await stopped;

    t.equal(runtime.state(), 'stopped');
    t.equal(clock.pending(), 0);
  });

for (const method of ['ping', 'shutdown', 'terminate', 'kill'] as const)
  t.test(
    `given a runner whose ${method} throws, when it is used, then the deadlines still end the child and the fault is told`,
    async (t) => {
      const { runtime, runner, clock, ready, log } = openFakeRuntime();
      await ready();
      const run = runner.last();
      Object.assign(run, { answerPing: false, answerShutdown: false, [method]: fail });

      await clock.advance(10_000); // a ping
      const stopped = runtime.stop();
      await clock.advance(2_000); // its shutdown was not answered
      await clock.advance(2_000); // its SIGTERM was not heeded
      t.equal(runtime.state(), 'killing');
      run.exit({ cause: 'signal', code: null, signal: 'SIGKILL' });
      await stopped;

      t.equal(runtime.state(), 'stopped');
      t.ok(JSON.stringify(log.events).includes('a bug') || JSON.stringify(log.events).includes('plugin.fault'));
    },
  );

t.test('given a generation that is over, when its runner still tells of a broken rule, then the next one is not blamed', async (t) => {
  const { runtime, runner, clock, ready } = openFakeRuntime();
  await ready();
  const first = runner.last();
  first.exit({ cause: 'signal', code: null, signal: 'SIGKILL' });
  await clock.advance(1_000);
  await settle();
  runner.last().events.ready();

  first.events.violated('invalid-json', 'late');
  runner.last().exit({ cause: 'exit-code', code: 7 });

  t.match(runtime.why().exits[0], { cause: 'exit-code', code: 7, generation: 2 });
});
