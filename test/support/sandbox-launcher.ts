import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { defaultResources } from '../../protocol/manifest.ts';
import { encodeArtifact } from '../../supervisor/sandbox/boot.ts';
import { openDescriptors } from '../../supervisor/sandbox/descriptors.ts';
import { planLaunch } from '../../supervisor/sandbox/launch.ts';
import type { Level } from '../../supervisor/sandbox/levels.ts';
import { spawnPlan } from '../../supervisor/sandbox/spawn-plan.ts';
import { findPluginProcess, identifyProcess } from '../../supervisor/sandbox/status.ts';
import { describeOwnNode, findTools } from '../../supervisor/sandbox/tools.ts';

/** What a test asks of this process, as JSON in the first line of its stdin. */
export type LauncherOrder = {
  level: Level;
  /** The text of a JS program, or the path of a native one. */
  script?: string;
  native?: string;
  artifact?: string;
  /** The script is an artifact that the child gets when it waits for one, as a child of the pool does. */
  later?: boolean;
  permission?: boolean;
  /** False hands the plugin every descriptor that this process was left with: the test sees their end when all processes are gone. */
  plug?: boolean;
  resources?: Partial<typeof defaultResources>;
  /** How many of it are started at once; one when nothing is said. */
  count?: number;
};
/** What it says: pids as soon as the plugin has printed a first line, each line of the plugin, and its end. */
export type LauncherSays =
  | { kind: 'started'; monitor: number; plugin: number; init: number | null; uid: number | null; notEnforced: readonly string[] }
  | { kind: 'line'; text: string }
  | { kind: 'stderr'; text: string }
  | { kind: 'exit'; code: number | null; signal: string | null; exitCode: number | null };

/** Says that it waits, and becomes what it is given. */
const waitingRunner = Buffer.from(`import { receiveArtifact } from 'lattice:boot';
import { writeSync } from 'node:fs';
writeSync(1, 'waiting\\n');
receiveArtifact();
await import('lattice:artifact');`);

const say = (said: LauncherSays) => process.stdout.write(`${JSON.stringify(said)}\n`);

const uids = process.getuid?.() === 0 ? (await import('../../supervisor/sandbox/uids.ts')).createUidPool() : null;
const inputEnded = new Promise<void>((resolve) => process.stdin.once('end', resolve));

/** Stands for the supervisor, in a process that a test can kill: launches one plugin and lives on. */
async function launch(order: LauncherOrder): Promise<void> {
  const tools = await findTools(describeOwnNode());
  const self = process.getuid?.() ?? -1;
  const uid = (await uids?.take())?.uid ?? null;
  const artifact = Buffer.from(order.artifact ?? 'export default 42;');
  const script = Buffer.from((order.script ?? '').replace('SUPERVISOR', String(process.pid)));
  const plan = planLaunch({
    level: order.level,
    tools,
    resources: { ...defaultResources, ...order.resources },
    uid,
    permission: order.permission,
    launcher: { uid: self, pid: process.pid, openDescriptors: order.plug === false ? [] : openDescriptors() },
    program:
      order.native === undefined
        ? {
            engine: 'node',
            runner: order.later ? waitingRunner : Buffer.concat([Buffer.from("import 'lattice:artifact'; "), script]),
            artifact: order.later ? 'later' : artifact,
            title: 'lattice plugin test',
          }
        : { engine: 'native', artifact: readFileSync(order.native) },
  });
  const child = spawnPlan(plan);
  let started = false;
  createInterface({ input: child.stdout }).on('line', (text) => {
    if (text === 'waiting') return child.deliver(encodeArtifact({ artifact: script }));
    if (!started) {
      started = true;
      const init = child.status?.childPid ?? null;
      const monitor = child.process.pid ?? 0;
      say({
        kind: 'started',
        monitor,
        init,
        uid,
        notEnforced: plan.limitsNotEnforced,
        plugin: init === null ? monitor : (findPluginProcess(init)?.pid ?? 0),
      });
    }
    say({ kind: 'line', text });
  });
  createInterface({ input: child.stderr }).on('line', (text) => say({ kind: 'stderr', text }));
  child.process.once('close', (code: number | null, signal: string | null) =>
    say({ kind: 'exit', code, signal, exitCode: child.status?.exitCode ?? null }),
  );
  void inputEnded.then(() => child.stdin.end());
}

if (process.argv[1] === import.meta.filename && identifyProcess(process.pid) && process.argv[2] === 'launch') {
  createInterface({ input: process.stdin }).once('line', (line) => {
    const order: LauncherOrder = JSON.parse(line);
    for (let started = 0; started < (order.count ?? 1); started++) void launch(order);
  });
}
