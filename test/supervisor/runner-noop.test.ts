import t from 'tap';
import type { Exit } from '../../supervisor/runner.ts';
import { createNoopRunner } from '../../supervisor/runner-noop.ts';
import { createTestLaunch } from '../support/launch.ts';

t.test('given the noop runner, when a generation is started, then it arms, answers pings, runs no code, and ends once', async (t) => {
  const ends: Exit[] = [];
  const ready = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const run = await createNoopRunner().start(createTestLaunch(1, { artifact: Buffer.from('process.exit(1)') }), async () => {}, {
    ready: ready.resolve,
    violated: () => t.fail('there is nothing to violate'),
    crashed: () => t.fail('there is nothing to crash'),
    output: () => t.fail('there is nothing to print'),
    exited(exit) {
      ends.push(exit);
      ended.resolve();
    },
  });
  await ready.promise;
  t.same([run.pid, run.sandbox, await run.ping(), await run.shutdown()], [null, 'none', {}, {}]);
  await t.rejects(run.invoke('a', 'b', null, { timeoutMs: 1 }), { code: 'unavailable' });
  run.terminate();
  run.kill();
  await ended.promise;
  t.match(ends, [{ cause: 'stopped', code: 0 }]);
});
