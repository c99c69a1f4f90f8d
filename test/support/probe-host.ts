import { createRealClock } from '../../supervisor/clock.ts';
import type { LaunchPlan } from '../../supervisor/sandbox/launch.ts';
import { describeOwnNode, findTools } from '../../supervisor/sandbox/tools.ts';
import { createUidPool } from '../../supervisor/sandbox/uids.ts';

/** What a probe needs to run on the host that the tests run on. */
export const probeHost = {
  tools: await findTools(describeOwnNode()),
  clock: createRealClock(),
  uids: process.getuid?.() === 0 ? createUidPool() : null,
  cgroup: { offered: false, detail: 'no cgroup v2', howToGet: 'Delegate=yes' },
} as const;

/** What the canary of this plan is told, by the pipe that only it reads. */
export function factsOf(plan: LaunchPlan): { port: string; writable: string } {
  const told = plan.delivery?.toString() ?? '';
  const find = (pattern: RegExp) => pattern.exec(told)?.[1] ?? '';
  return { port: find(/"port":(\d+)/), writable: find(/"writable":"([^"]+)"/) };
}
