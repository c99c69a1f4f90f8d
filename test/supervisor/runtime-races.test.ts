import t from 'tap';
import { createBroker, type HostHandlers, type RateLimiters } from '../../supervisor/broker.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { openFakeRuntime, settle } from '../support/fake-runtime.ts';
import { createTestLaunch } from '../support/launch.ts';

function open({ slowStart, ...more }: Parameters<typeof openFakeRuntime>[0] & { slowStart?: Promise<void> } = {}) {
  const opened = openFakeRuntime(more);
  const { runner } = opened;
  const start = runner.start;
  if (slowStart)
    Object.assign(runner, {
      async start(...args: Parameters<typeof start>) {
        await slowStart;
        return start(...args);
      },
    });
  return opened;
}

t.test('given a spawn that takes long, when the plugin is stopped meanwhile, then the child that comes late is ended', async (t) => {
  const gate = Promise.withResolvers<void>();
  const { runtime, runner, clock } = open({ slowStart: gate.promise });
  runtime.command('start');
  await settle();
  const stopped = runtime.stop();
  await clock.advance(5_000);
  await stopped;
  gate.resolve();
  await settle();
  await settle();
  t.equal(runner.runs.length, 1, 'it was spawned after the stop had been reported as done');
  t.match(runner.last().log, ['kill'], 'and must not live on');
});

t.test('given bytes that take 14 s to be read, when they are there at last, then the start is tried again and not given up', async (t) => {
  const gate = Promise.withResolvers<void>();
  let slow = true;
  const { runtime, runner, clock } = open({
    async prepare(of) {
      if (slow) await gate.promise;
      return createTestLaunch(of);
    },
  });
  runtime.command('start');
  await settle();
  await clock.advance(14_000);
  slow = false;
  gate.resolve();
  await settle();
  t.equal(runner.runs.length, 1);
  runner.last().events.ready();
  t.equal(runtime.state(), 'ready');
});

t.test('given an ask whose row waits for the disk, when the grant is revoked meanwhile, then the effect does not start', async (t) => {
  const gate = Promise.withResolvers<void>();
  let state: 'all' | 'none' = 'all';
  let acted = false;
  const always = { take: () => true, waitMs: () => 0 };
  const dispatch = createBroker({
    grant: { pluginId: 'example.test', capabilities: new Set(['log:write']), egress: [], readBuckets: [] },
    generation: 1,
    askable: () => state,
    actor: () => null,
    handlers: {
      'log.write': async () => {
        acted = true;
        return {};
      },
    } as unknown as HostHandlers,
    rates: { read: always, effect: always, fetch: always, notify: always, log: always } as RateLimiters,
    append: () => gate.promise,
    appendDenial: () => {},
    clock: createFakeClock(),
  });
  const done = Promise.resolve(dispatch('log.write', { message: 'x' }, { signal: new AbortController().signal })).catch(() => null);
  await settle();
  state = 'none';
  gate.resolve();
  await done;
  t.equal(acted, false);
});
