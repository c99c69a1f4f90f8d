import { spawn } from 'node:child_process';
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parentOf } from '../supervisor/sandbox/status.ts';

/**
 * Runs the suite (all of it, or the files named as arguments) and ends with one line of counts, which counts assertions that really ran.
 * Afterwards no process that the suite started may be left.
 */
const root = fileURLToPath(new URL('..', import.meta.url));
const named = process.argv.slice(2);
const files =
  named.length > 0 ? named : globSync('test/**/*.test.ts', { cwd: root, exclude: (name) => name.includes('node_modules') }).sort();
let inFailure = ''; // the indentation of the diagnosis that is being shown
const mark = `${process.pid}-${Date.now()}`;

const { code, totals } = await runTap();
const survivors = await waitForSurvivors();
for (const { pid, command } of survivors) process.stdout.write(`left behind: ${pid} ${command}\n`);
const failed = (totals?.fail ?? 0) + survivors.length + (totals === null ? 1 : 0);
const skipped = totals?.skip ?? 0;
process.stdout.write(`${totals?.pass ?? 0} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
process.exit(code !== 0 || failed > 0 ? 1 : 0);

type Totals = { pass: number; fail: number; skip: number };

function runTap(): Promise<{ code: number; totals: Totals | null }> {
  const tap = fileURLToPath(new URL('../node_modules/tap/dist/esm/run.mjs', import.meta.url));
  const args = ['--type-strip-only', '--disable-coverage', '--jobs=2', '--timeout=180', '--reporter=tap', ...files];
  const child = spawn(process.execPath, [tap, ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, SUITE_RUN: mark, NO_COLOR: '1' },
  });
  let last = '';
  let held = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (held + chunk).split('\n');
    held = lines.pop() ?? '';
    for (const line of lines) {
      if (/^# \{ total: /.test(line)) last = line;
      show(line);
    }
  });
  return new Promise((resolve) => child.on('close', (status) => resolve({ code: status ?? 1, totals: parseTotals(last) })));
}

/** Prints each file's verdict, every failure with its diagnosis, and every reason to skip; passed assertions are only counted. */
function show(line: string): void {
  if (/^ok|^not ok/.test(line) || /# SKIP/.test(line)) process.stdout.write(`${line}\n`);
  else if (/^\s+not ok/.test(line)) process.stdout.write(`${line}\n`);
  const indent = /^(\s+)---$/.exec(line)?.[1];
  if (indent !== undefined) inFailure = indent;
  if (inFailure !== '') process.stdout.write(`${line}\n`);
  if (inFailure !== '' && line === `${inFailure}...`) inFailure = '';
}

/** tap's last line: `# { total: 12, pass: 10, fail: 1, skip: 1 }`. Null when the run never got so far. */
function parseTotals(line: string): Totals | null {
  const count = (name: string) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(line)?.[1] ?? 0);
  return line === '' ? null : { pass: count('pass'), fail: count('fail'), skip: count('skip') + count('todo') };
}

/** A killed child needs a moment to be gone; what is there after two seconds stays. */
async function waitForSurvivors(): Promise<{ pid: number; command: string }[]> {
  for (let tries = 0; tries < 20; tries++) {
    const found = findSurvivors();
    if (found.length === 0 || tries === 19) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return [];
}

/** Processes with this run's mark in their environment; caged children have none, and are known by what they are. */
function findSurvivors(): { pid: number; command: string }[] {
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) return [];
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      const state = /^\d+ \(.*\) (\S)/s.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1];
      if (state === 'Z' || command === '') return [];
      const environment = readFileSync(`/proc/${pid}/environ`, 'latin1');
      const ours = environment.includes(`SUITE_RUN=${mark}`) || (environment === '' && isCaged(command) && isOrphan(pid));
      return ours ? [{ pid, command: command.slice(0, 120) }] : [];
    } catch {
      return []; // ended meanwhile, or another user's
    }
  });
}

function isCaged(command: string): boolean {
  return /^lattice plugin|bwrap .*--hostname plugin/.test(command);
}

/** What another run or a service on this machine started has that as its parent; what a test left behind has nobody but who takes in orphans. */
function isOrphan(pid: number): boolean {
  let above = parentOf(pid) ?? 0;
  while (above > 1 && isCaged(readFileSync(`/proc/${above}/cmdline`, 'utf8').replaceAll('\0', ' '))) above = parentOf(above) ?? 0;
  for (let own = process.pid; own > 0; own = parentOf(own) ?? 0) if (own === above) return true;
  return above <= 1;
}
