import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { findMissing, listBlocks, listFiles, parseSession, projectRoot, readText, type Step } from '../docs/markdown.ts';
import { removeTree } from '../support/start-service.ts';

const readme = readText('README.md');
const steps = listBlocks(readme, 'sh').flatMap(parseSession);
const alerts = listBlocks(readme, 'text').flatMap((block) => block.trim().split('\n')); // what the first terminal shows later
const alias = steps.find(({ command }) => command.startsWith('alias '))?.command ?? '';
// What a newcomer's shell has: no setting of ours, and nothing of the npm that may be running this test.
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(LATTICE_|npm_|INIT_CWD$|NODE_OPTIONS$)/i.test(name)),
);

type Running = { child: ChildProcess; output: () => string; ended: Promise<number | null>; sees(text: string): Promise<void> };

/** The files of this checkout as a clone would have them, beside the packages that are installed already. */
function cloneCheckout(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'lattice-tour-'));
  t.teardown(() => removeTree(folder));
  for (const path of listFiles()) cpSync(join(projectRoot, path), join(folder, path));
  symlinkSync(join(projectRoot, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

/** Runs a line as a shell in the clone would; in a group of its own, as a terminal does, so that Ctrl-C can be pressed. */
function run(t: Test, folder: string, line: string, more: Record<string, string> = {}): Running {
  const child = spawn('sh', ['-c', line], {
    cwd: folder,
    env: { ...environment, ...more },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let text = '';
  const watchers = new Set<() => void>();
  const take = (chunk: Buffer) => {
    text += chunk.toString();
    for (const look of watchers) look();
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  t.teardown(() => press(child, 'SIGKILL'));
  const sees = (wanted: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => text.includes(wanted) && resolve();
      watchers.add(look);
      look();
      void ended.then(() => reject(new Error(`ended without ${wanted}: ${text}`)));
    });
  return { child, output: () => text, ended, sees };
}

function press(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (child.pid) process.kill(-child.pid, signal);
  } catch {
    // the group is gone
  }
}

const runLattice = (t: Test, folder: string, line: string): Running => run(t, folder, `${alias}\n${line}`);

/** Waits until the plugin has taken a line, as a reader does who gives it a second. */
async function waitForFeed(t: Test, folder: string): Promise<void> {
  for (let tries = 0; tries < 60; tries++) {
    const status = runLattice(t, folder, 'lattice plugins call lattice.ssh-login-alert feed.status');
    await status.ended;
    if (/"alerts": 1/.test(status.output()) && /"pending": \[\]/.test(status.output())) return;
  }
  throw new Error('the plugin was not fed');
}

async function follow(t: Test, folder: string, step: Step): Promise<string> {
  const running = runLattice(t, folder, step.command);
  if (step.interrupted) {
    await waitForFeed(t, folder);
    press(running.child, 'SIGINT');
  }
  await running.ended;
  return running.output();
}

t.setTimeout(170_000); // two dozen commands, each a shell, npm and Node
t.test('given a fresh clone, when the tour of the README is followed, then one sees what it shows', { timeout: 165_000 }, async (t) => {
  const [first, ...rest] = steps;
  const folder = cloneCheckout(t);
  t.equal(first?.command, 'npm start');

  const service = run(t, folder, 'npm start', { LATTICE_LISTEN: '127.0.0.1:0' });
  await service.sees('Ctrl-C stops it.');
  const shown = service.output().replace(/http:\/\/127\.0\.0\.1:\d+/g, 'http://127.0.0.1:8088');
  t.equal(findMissing(first?.expected ?? [], shown), null, 'npm start');
  for (const step of rest) {
    const output = await follow(t, folder, step);
    t.equal(findMissing(step.expected, output), null, step.command, { output });
  }
  t.equal(findMissing(alerts, service.output()), null, 'the alert in the first terminal', { output: service.output() });

  press(service.child, 'SIGINT');
  await service.ended;
  t.notOk(existsSync(join(folder, 'var', 'address')), 'Ctrl-C ends it in order');
  t.ok(existsSync(join(folder, 'var', 'lattice.db')), 'what was stored stays');
});
