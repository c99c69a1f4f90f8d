import t from 'tap';
import type { Level } from '../../../supervisor/sandbox/levels.ts';
import type { ProbeReport } from '../../../supervisor/sandbox/probe-report.ts';
import { createProbedLevels } from '../../../supervisor/sandbox/probed-levels.ts';
import { describeOwnNode, findTools } from '../../../supervisor/sandbox/tools.ts';

const tools = await findTools(describeOwnNode());

/** Each probe finds what is available at that moment. */
async function open(found: Level, minimum: Level | 'auto' = 'isolated') {
  const host = { available: found, probes: 0, broken: false };
  const levels = await createProbedLevels(minimum, async (): Promise<ProbeReport> => {
    host.probes++;
    const { available } = host;
    await new Promise((resolve) => setImmediate(resolve));
    if (host.broken) throw new Error('no process could be started');
    return {
      tools,
      available,
      disableUserns: true,
      layers: [],
      outcomes: { isolated: null, 'isolated, without --permission': null, restricted: null },
    };
  });
  return { host, levels };
}

t.test('given a sandbox that was found whole, when plugins start, then it is not probed again', async (t) => {
  const { host, levels } = await open('isolated');
  for (let n = 0; n < 3; n++) t.same(await levels.choose('node', false), { level: 'isolated', disableUserns: true });
  t.equal(host.probes, 1);
});

t.test(
  'given a set-up that failed, when the next plugins start, then it is probed once more, and what is found counts for all',
  async (t) => {
    const { host, levels } = await open('isolated');
    host.available = 'restricted';
    levels.suspect();
    const choices = await Promise.allSettled([levels.choose('node', false), levels.choose('native', false), levels.choose('node', true)]);
    t.match(
      choices,
      choices.map(() => ({ status: 'rejected', reason: { code: 'sandbox-unavailable' } })),
    );
    t.equal(host.probes, 2);
    t.equal(levels.report().available, 'restricted', 'what is shown is what was found');
  },
);

t.test('given too little, when it was put right, then the next start finds it without a restart of the service', async (t) => {
  const { host, levels } = await open('restricted');
  await t.rejects(levels.choose('native', false), { code: 'sandbox-unavailable' });
  host.available = 'isolated';
  t.match(await levels.choose('native', false), { level: 'isolated' });
  t.equal(host.probes, 3);
});

t.test('given a set-up that fails while it is probed again, when the next plugin starts, then it is probed a third time', async (t) => {
  const { host, levels } = await open('isolated');
  levels.suspect();
  const first = levels.choose('node', false);
  levels.suspect();
  await first;
  await levels.choose('node', false);
  t.equal(host.probes, 3);
});

t.test('given a probe that fails itself, when the next plugin starts, then the doubt stands and it is probed again', async (t) => {
  const { host, levels } = await open('isolated');
  levels.suspect();
  host.broken = true;
  await t.rejects(levels.choose('node', false), /no process/);
  host.broken = false;
  t.match(await levels.choose('node', false), { level: 'isolated' });
  t.equal(host.probes, 3);
});
