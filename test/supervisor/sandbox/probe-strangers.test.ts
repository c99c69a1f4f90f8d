import { spawnSync } from 'node:child_process';
import t from 'tap';
import type { LaunchPlan } from '../../../supervisor/sandbox/launch.ts';
import { probeSandbox } from '../../../supervisor/sandbox/probe.ts';
import { spawnPlan } from '../../../supervisor/sandbox/spawn-plan.ts';
import { factsOf, probeHost } from '../../support/probe-host.ts';
import { whyNot } from '../../support/sandbox-session.ts';

const skip = whyNot('root', 'bwrap', 'prlimit', 'setpriv', 'bash'); // only root can act as somebody else
const stranger = ['--reuid', '65534', '--regid', '65534', '--clear-groups', '--', '/usr/bin/bash', '-c'];

/** Another user of the host, who acts before the canary does: the kernel takes a connection although nobody has accepted it yet. */
function actAsStranger(script: string, plan: LaunchPlan): void {
  const { port, writable } = factsOf(plan);
  spawnSync('/usr/bin/setpriv', [...stranger, script, port, writable], { stdio: 'ignore', cwd: '/', timeout: 300, killSignal: 'SIGKILL' });
}

for (const [name, script] of [
  ['connects', 'exec 3<>/dev/tcp/127.0.0.1/$0'],
  ['connects and talks', 'echo let me in please, I am the canary >/dev/tcp/127.0.0.1/$0'],
  // Connections beyond the kernel's queue wait: this one is ended by force.
  ['connects until nobody else can', 'for n in {1..900}; do eval "exec $((n + 9))<>/dev/tcp/127.0.0.1/$0"; done'],
  ['writes the file', 'echo hello >"$1"'],
  ['takes the file away', 'rm -f "$1"; mv "$(dirname "$1")" "$(dirname "$1").away"'],
] as const) {
  t.test(`given another user who ${name}, when the sandbox is probed, then what was found is as without`, { skip }, async (t) => {
    const spawn = (plan: LaunchPlan) => {
      actAsStranger(script, plan);
      return spawnPlan(plan);
    };

    const report = await probeSandbox({ ...probeHost, spawn });

    t.equal(report.available, 'isolated', JSON.stringify(report.layers));
  });
}
