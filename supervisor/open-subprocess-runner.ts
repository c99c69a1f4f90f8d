import { shareFor } from '../protocol/work.ts';
import type { Clock } from './clock.ts';
import type { Config } from './config.ts';
import type { Log } from './log.ts';
import type { SandboxView } from './plugin-view.ts';
import type { Runner } from './runner.ts';
import { loadRunnerBundle } from './runner-bundle.ts';
import { createSubprocessRunner } from './runner-subprocess.ts';
import { type CgroupOffer, createCgroupLeaf, detectCgroup, prepareCgroup } from './sandbox/cgroup.ts';
import { probeSandbox } from './sandbox/probe.ts';
import type { ProbeReport } from './sandbox/probe-report.ts';
import { createProbedLevels, describeProbe, type Probed, type ProbeReason } from './sandbox/probed-levels.ts';
import { createPipeMaker } from './sandbox/response-pipe.ts';
import { describeOwnNode, findTools, type Tools } from './sandbox/tools.ts';
import { createUidPool } from './sandbox/uids.ts';

const callTimeoutMs = 30_000;
/**
 * Cgroup v2, where systemd delegated one to this service: under root any cgroup could be written, but without the unit's word it is systemd's
 * to arrange. Preparing it moves the service to a leaf of its own.
 */
async function openCgroup(startedBySystemd: boolean): Promise<CgroupOffer> {
  const offer = await detectCgroup();
  if (!offer.offered) return offer;
  if (!startedBySystemd)
    return { offered: false, detail: 'the service was not started by systemd', howToGet: 'run it as a systemd unit with Delegate=yes' };
  await prepareCgroup(offer.folder);
  return offer;
}

/** Finds the tools, tries the sandbox on a payload that attacks it, and gives out the runner; the probe's findings go to the log. */
export async function openSubprocessRunner(
  config: Pick<Config, 'sandbox' | 'warmChildren'> & { policy?: Pick<Config['policy'], 'rates'> },
  log: Log,
  options: { clock: Clock; startedBySystemd: boolean },
): Promise<Runner> {
  const { clock } = options;
  const ownNode = describeOwnNode();
  const uids = process.getuid?.() === 0 ? createUidPool() : null;
  const cgroup = await openCgroup(options.startedBySystemd);
  const runnerBundle = await loadRunnerBundle();
  // The tools are looked up anew each time: what is missing may be installed, and a Node may be moved, while the service runs.
  const probe = async (again: ProbeReason | null): Promise<ProbeReport> => {
    const report = await probeSandbox({ tools: await findTools(ownNode), clock, uids, cgroup });
    const { isEnough, fields } = describeProbe(report, config.sandbox, again);
    log[isEnough ? 'info' : 'warn']('sandbox.probe', fields);
    return report;
  };
  const levels = await createProbedLevels(config.sandbox, probe, clock);
  const tools = (): Tools => levels.report().tools;

  return createSubprocessRunner({
    createLeaf: cgroup.offered ? (name, resources) => createCgroupLeaf(cgroup.folder, name, resources) : null,
    sandbox: () => viewSandbox(levels.report(), config.sandbox, levels.probed()),
    suspectSandbox: levels.suspect,
    chooseLevel: levels.choose,
    tools,
    pipes: createPipeMaker(() => tools().shell),
    runnerBundle,
    uids,
    warmChildren: config.warmChildren,
    callTimeoutMs,
    ...(config.policy ? { share: shareFor(config.policy.rates) } : {}),
    clock,
  });
}

/** The probe alone, for a doctor whose service does not run. */
export async function examineSandbox(minimum: Config['sandbox'], clock: Clock): Promise<SandboxView> {
  const uids = process.getuid?.() === 0 ? createUidPool() : null;
  const report = await probeSandbox({ tools: await findTools(describeOwnNode()), clock, uids, cgroup: await detectCgroup() });
  return viewSandbox(report, minimum, { times: 1, at: clock.wallMs() });
}

const viewSandbox = ({ available, possible, layers }: ProbeReport, minimum: Config['sandbox'], { times, at }: Probed): SandboxView => ({
  level: available,
  minimum,
  probed: { times, last_at: new Date(at).toISOString(), could_tell: possible === available },
  layers: layers.map(({ layer, available: held, detail, howToGet }) => ({ layer, available: held, detail, how_to_get: howToGet })),
});
