import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const projectRoot = fileURLToPath(new URL('../../', import.meta.url));
export const readText = (path: string): string => readFileSync(`${projectRoot}${path}`, 'utf8');

/** The files of the project as a clone would have them, with those that are about to be added. */
export function listFiles(): string[] {
  if (existsSync(join(projectRoot, '.git'))) {
    const trusted = ['-c', `safe.directory=${projectRoot.replace(/\/$/, '')}`]; // also where the checkout is another user's
    const args = [...trusted, 'ls-files', '--cached', '--others', '--exclude-standard', '-z'];
    const listed = execFileSync('git', args, { cwd: projectRoot, encoding: 'utf8' }).split('\0');
    return listed.filter((path) => path !== '' && existsSync(join(projectRoot, path)));
  }
  const all = readdirSync(projectRoot, { recursive: true, withFileTypes: true });
  const files = all.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(projectRoot.length));
  return files.filter((path) => !/^(node_modules|var|dist|\.tap|\.git)\//.test(path));
}

/** The text of every fenced block in this language, in order. */
export const listBlocks = (markdown: string, language: string): string[] =>
  [...markdown.matchAll(/^```(\w*)\n(.*?)^```$/gms)].filter(([, name]) => name === language).map(([, , text = '']) => text);

/** The sessions of a manual that are not executed, each with the reason that stands before it; null where none does. */
export const listUnexecuted = (markdown: string): { session: string; reason: string | null }[] =>
  [...markdown.matchAll(/(?:^<!-- not executed: ([^\n]*) -->\n\n)?^```console\n(.*?)^```$/gms)].map(([, reason = null, session = '']) => ({
    session,
    reason,
  }));

export type Step = { command: string; expected: string[]; interrupted: boolean };

/** Reads a session: `$ ` begins a command, `^C` interrupts it, the other lines are what one sees. */
export function parseSession(block: string): Step[] {
  const steps: Step[] = [];
  for (const line of block.split('\n').filter((each) => each.trim() !== '')) {
    const last = steps.at(-1);
    if (line.startsWith('$ ')) steps.push({ command: line.slice(2), expected: [], interrupted: false });
    else if (last === undefined) throw new Error(`a session begins with a command, not with: ${line}`);
    else if (line === '^C') last.interrupted = true;
    else last.expected.push(line);
  }
  return steps;
}

const squeeze = (line: string): string => line.trim().replace(/\s+/g, ' ');

/** The first expected line that the output does not have, in this order; null when all are there. `…` stands for any text, spaces count once. */
export function findMissing(expected: readonly string[], output: string): string | null {
  const lines = output.split('\n').map(squeeze);
  let at = 0;
  for (const wanted of expected) {
    const pattern = new RegExp(squeeze(wanted).split('…').map(RegExp.escape).join('.*'));
    const found = lines.findIndex((line, index) => index >= at && pattern.test(line));
    if (found === -1) return wanted;
    at = found + 1;
  }
  return null;
}
