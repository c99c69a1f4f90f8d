import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Level } from '../../supervisor/sandbox/levels.ts';
import { createProbedLevels } from '../../supervisor/sandbox/probed-levels.ts';
import { describeOwnNode, findTools } from '../../supervisor/sandbox/tools.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { readFault } from '../support/kill-steps.ts';
import { openWorkshop } from '../support/real-runtime.ts';
import { whyNot } from '../support/sandbox-session.ts';
import { testFolder } from '../support/test-folder.ts';

const skip = whyNot(process.getuid?.() === 0 ? 'root' : 'plain user', 'bwrap');
const artifact = readFault('raw.js');

const none = { isolated: null, 'isolated, without --permission': null, restricted: null };

/** The real bwrap behind one that fails as long as a file is there, and a probe that finds what `host` says. */
async function open(t: Test) {
  const folder = testFolder(t);
  const flag = join(folder, 'broken');
  const tools = await findTools(describeOwnNode());
  const bwrap = join(folder, 'bwrap');
  writeFileSync(flag, '');
  writeFileSync(bwrap, `#!/bin/sh\nif [ -e ${flag} ]; then echo 'bwrap: no more of these' >&2; exit 1; fi\nexec ${tools.bwrap} "$@"\n`);
  chmodSync(bwrap, 0o755);
  const host = {
    available: 'isolated' as Level,
    probes: 0,
    inDoubt: false,
    tools: { ...tools, bwrap: bwrap as string | null },
    repair: () => rmSync(flag),
  };
  const clock = createFakeClock();
  const probe = async () => {
    host.probes++;
    const { tools, available } = host;
    return { tools, available, possible: host.inDoubt ? 'isolated' : available, disableUserns: true, layers: [], outcomes: none };
  };
  const levels = await createProbedLevels('isolated', probe, clock);
  const workshop = await openWorkshop('isolated', undefined, {
    tools: () => levels.report().tools,
    suspectSandbox: levels.suspect,
    chooseLevel: levels.choose,
  });
  return { host, bwrap: tools.bwrap, clock, real: workshop.open(t, { artifact, clock }) };
}

t.test(
  'given a sandbox that once fails to be set up, when it was found whole, then it is probed again and the plugin starts',
  { skip },
  async (t) => {
    const { real, host, clock } = await open(t);
    t.match(await real.runtime.arm(), { ok: false, cause: 'sandbox-failed', message: /could not be set up/ });
    t.match(real.lastExit(), { cause: 'sandbox-failed', code: 1, stderr_tail: ['bwrap: no more of these'] });
    t.equal(real.runtime.state(), 'backoff');
    t.equal(host.probes, 1);

    host.repair();
    await clock.advance(1_000);
    await real.reached('ready', 0);

    t.equal(host.probes, 2);
    t.equal(await real.invoke('echo', 'here'), 'here');
  },
);

t.test(
  'given a tool that failed, when the probe finds it in another place, then the next start takes it from there',
  { skip },
  async (t) => {
    const { real, host, bwrap, clock } = await open(t);
    t.match(await real.runtime.arm(), { ok: false, cause: 'sandbox-failed' });

    host.tools = { ...host.tools, bwrap };
    await clock.advance(1_000);
    await real.reached('ready', 0);

    t.equal(await real.invoke('echo', 'here'), 'here');
  },
);

t.test(
  'given a sandbox that fails to be set up, when the probe then finds too little, then the plugin has failed for good',
  { skip },
  async (t) => {
    const { real, host, clock } = await open(t);
    await real.runtime.arm();
    host.available = 'restricted';
    await clock.advance(1_000);
    await real.reached('failed', 0);
    t.match(real.lastExit(), { cause: 'sandbox-unavailable' });
  },
);

t.test(
  'given a sandbox that fails to be set up, when the probe cannot tell why, then it is a crash that is tried again and mends itself',
  { skip },
  async (t) => {
    const { real, host, clock } = await open(t);
    await real.runtime.arm();
    Object.assign(host, { available: 'restricted', inDoubt: true });
    const mark = real.entered.length;
    await clock.advance(1_000);
    await real.reached('backoff', mark);
    t.match(real.lastExit(), { cause: 'sandbox-failed' });

    Object.assign(host, { available: 'isolated', inDoubt: false });
    host.repair();
    await clock.advance(2_000);
    await real.reached('ready', 0);
    t.equal(await real.invoke('echo', 'here'), 'here');
  },
);

t.test(
  'given a sandbox that never can be set up, when the probe finds it whole each time, then the budget of crashes ends it',
  { skip },
  async (t) => {
    const { real, host, clock } = await open(t);
    await real.runtime.arm();
    for (let crash = 2; crash <= 5; crash++) {
      const mark = real.entered.length;
      await clock.advance(1_000 * 2 ** (crash - 2));
      await real.reached(crash < 5 ? 'backoff' : 'failed', mark);
    }
    t.equal(host.probes, 5);
    t.equal(real.lastExit()?.cause, 'sandbox-failed');
  },
);
