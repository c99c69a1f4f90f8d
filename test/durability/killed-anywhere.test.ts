import t from 'tap';
import { type Failpoint, failpoints } from '../../supervisor/failpoints.ts';
import { conclude, live, readReached } from '../support/crash/lives.ts';
import { planOf } from '../support/crash/plan.ts';
import { createWorld } from '../support/crash/world.ts';
import { createRandom } from '../support/kill-steps.ts';

t.setTimeout(170_000); // some twenty starts, on a machine that may be busy
const names = Object.keys(failpoints) as Failpoint[]; // the keys of a constant
/** One or two of each area; `npm run torture -- kills` ends lives at all of them. */
const chosen: readonly Failpoint[] = [
  'database.made',
  'migration.applied',
  'token.recorded',
  'audit.decided',
  'audit.closed',
  'audit.acted',
  'job.statement',
  'commit.recorded',
  'commit.durable',
  'file.renamed',
  'kv.decided',
  'outbox.sent',
  'plugin.recorded',
  'plugin.superseded',
  'exchange.accepted',
  'staging.named',
  'reply.ready',
];

t.test(
  'given a service at work, when it is killed again and again, then all it acknowledged is there, and nothing is half there',
  async (t) => {
    const random = createRandom(20261123);
    const world = await createWorld(t, random, { plugins: 2 });
    const missed: string[] = [];
    /** A busy machine may not get a plugin ready in time, and then what only a plugin does is not reached: that is tried again. */
    async function killAt(at: readonly Failpoint[]): Promise<void> {
      for (const { end, withChildren, name } of planOf(at, random)) {
        let triesLeft = 3;
        while (triesLeft > 0 && !(await live(world, { end, withChildren }))) triesLeft--;
        if (triesLeft === 0) missed.push(name);
      }
    }
    await killAt(chosen);
    for (const afterAsks of [15, 90]) await live(world, { end: { afterAsks }, withChildren: true });
    await killAt(names.filter((name) => !readReached(world).has(name)));
    await conclude(world);

    t.same(world.violations, []);
    t.same(missed, [], 'each life ended where it was to end');
    t.same(
      names.filter((name) => !readReached(world).has(name)),
      [],
      'the work reaches every failpoint there is',
    );
    t.ok(world.tally.acknowledged > 100);
    t.comment(JSON.stringify({ ...world.tally, readyMs: undefined }));
  },
);
