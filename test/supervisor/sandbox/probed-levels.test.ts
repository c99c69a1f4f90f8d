import t from 'tap';
import type { Level } from '../../../supervisor/sandbox/levels.ts';
import type { ProbeReport } from '../../../supervisor/sandbox/probe-report.ts';
import { createProbedLevels, describeProbe, type ProbeReason, reprobeMs } from '../../../supervisor/sandbox/probed-levels.ts';
import { describeOwnNode, findTools } from '../../../supervisor/sandbox/tools.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

const tools = await findTools(describeOwnNode());

/** Each probe finds what is available at that moment. */
async function open(found: Level, minimum: Level | 'auto' = 'isolated') {
  const reasons: (ProbeReason | null)[] = [];
  const host = { available: found, possible: null as Level | null, probes: 0, broken: false, reasons };
  const clock = createFakeClock();
  const probe = async (again: ProbeReason | null): Promise<ProbeReport> => {
    host.probes++;
    host.reasons.push(again);
    const { available } = host;
    await new Promise((resolve) => setImmediate(resolve));
    if (host.broken) throw new Error('no process could be started');
    return {
      tools,
      available,
      possible: host.possible ?? available,
      disableUserns: true,
      layers: [],
      outcomes: { isolated: null, 'isolated, without --permission': null, restricted: null },
    };
  };
  const levels = await createProbedLevels(minimum, probe, clock);
  return { host, levels, clock };
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

t.test('given less than isolated under auto, when plugins start later, then it is probed again, but not for each of them', async (t) => {
  const { host, levels, clock } = await open('restricted', 'auto');
  t.match(await levels.choose('node', false), { level: 'restricted' });
  t.equal(host.probes, 1);

  await clock.advance(reprobeMs);
  await Promise.all([levels.choose('node', false), levels.choose('node', false)]);
  await levels.choose('node', false);
  t.equal(host.probes, 2);

  host.available = 'isolated';
  await clock.advance(reprobeMs);
  t.match(await levels.choose('node', false), { level: 'isolated' });
  await clock.advance(reprobeMs);
  await levels.choose('node', false);
  t.same(host.reasons, [null, 'less than there could be', 'less than there could be']);
  t.match(levels.probed(), { times: 3 });
});

t.test('given less than was found before, when plugins start later, then it is probed again', async (t) => {
  const { host, levels, clock } = await open('isolated+cgroup', 'auto');
  host.available = 'isolated';
  levels.suspect();
  t.match(await levels.choose('node', false), { level: 'isolated' });
  host.available = 'isolated+cgroup';
  await clock.advance(reprobeMs);
  t.match(await levels.choose('node', false), { level: 'isolated+cgroup' });
  t.equal(host.probes, 3);
});

for (const minimum of ['isolated', 'auto', 'none'] as const) {
  t.test(`given a probe that could not tell, with ${minimum}, when a plugin starts, then it waits for one that can`, async (t) => {
    const { host, levels } = await open('restricted', minimum);
    host.possible = 'isolated';
    levels.suspect();
    for (let n = 0; n < 2; n++) await t.rejects(levels.choose('node', false), { code: 'sandbox-unavailable', details: { passing: true } });

    host.available = 'isolated';
    t.match(await levels.choose('node', false), { level: 'isolated' });
    t.same(host.reasons.slice(2), ['a probe that could not tell', 'a probe that could not tell']);
  });
}

t.test('given a probe that could not tell, when even its best would be too little, then the refusal is final', async (t) => {
  const { host, levels } = await open('none');
  host.possible = 'restricted';
  await t.rejects(levels.choose('native', true), { code: 'sandbox-unavailable', details: { passing: undefined } });
});

t.test(
  'given a probe, when the log tells of it, then it says why it was made again, what is missing, and what it could not tell',
  async (t) => {
    const { levels, host } = await open('isolated', 'auto');
    t.same(describeProbe(levels.report(), 'auto', null), { isEnough: true, fields: { available: 'isolated', minimum: 'auto' } });

    Object.assign(host, { available: 'restricted', possible: 'isolated' });
    levels.suspect();
    await t.rejects(levels.choose('node', false));
    t.same(describeProbe(levels.report(), 'auto', 'a set-up that failed'), {
      isEnough: false,
      fields: { available: 'restricted', minimum: 'auto', again_after: 'a set-up that failed', could_not_tell: true, missing: [] },
    });
  },
);
