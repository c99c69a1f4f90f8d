import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { testFolder } from '../support/test-folder.ts';
import { findMissing, listBlocks, listUnexecuted, parseSession, projectRoot, readText } from './markdown.ts';

const guide = readText('docs/AUTHOR.md');
const manual = readText('docs/DEV-HARNESS.md');
const bin = `'${process.execPath}' '${projectRoot}supervisor/cli/lattice.js'`;

/** Times differ from run to run, and so do sizes. */
const normalise = (text: string): string => text.replace(/\d+\.\d+(?= \w+ )|\d+(\.\d+)?(?= (ms|bytes)\b)/g, '0');
const goesOn = (command: string): boolean => /^lattice dev (?!.*--once)/.test(command);

/** Runs a line as a shell would. One that goes on is told to quit when all is there that stands below it. */
function run(folder: string, command: string, expected: readonly string[]): Promise<string> {
  const line = command.replace(/^lattice /, `${bin} `);
  const child = spawn('/usr/bin/env', ['-i', `HOME=${folder}`, 'PATH=/usr/bin:/bin', '/bin/sh', '-c', line], { cwd: folder });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
    if (goesOn(command) && findMissing(expected.map(normalise), normalise(output)) === null) child.stdin.end('q\n');
  });
  if (!goesOn(command)) child.stdin.end();
  return new Promise((resolve) => child.once('close', () => resolve(output)));
}

t.test('given an empty folder, when the manuals are followed to the letter, then each command shows what stands there', async (t) => {
  const folder = testFolder(t);
  const inShout = (name: string): string => join(folder, 'shout', name);
  const sessions = { guide: listBlocks(guide, 'sh'), manual: listBlocks(manual, 'sh') };
  async function follow(of: keyof typeof sessions): Promise<void> {
    for (const { command, expected } of parseSession(sessions[of].shift() ?? '')) {
      const output = await run(folder, command, expected);
      t.equal(findMissing(expected.map(normalise), normalise(output)), null, `${command}\n${output}`);
    }
  }
  await follow('guide');
  const [manifest = ''] = listBlocks(guide, 'json');
  writeFileSync(inShout('plugin.json'), manifest);
  writeFileSync(inShout('plugin.ts'), listBlocks(guide, 'ts')[0] ?? '');
  writeFileSync(inShout('plugin.test.ts'), listBlocks(guide, 'mts')[0] ?? '');
  await follow('guide');
  await follow('guide');

  await follow('manual');
  writeFileSync(inShout('plugin.json'), manifest.replace('"log:write"', ''));
  await follow('manual');
  writeFileSync(inShout('plugin.json'), manifest);
  await follow('manual');
  await follow('manual');
  for (const line of readFileSync(join(folder, 'events.ndjson'), 'utf8').trimEnd().split('\n'))
    t.ok(JSON.parse(line).kind, line.slice(0, 80));
  t.match(readFileSync(join(folder, 'replay.xml'), 'utf8'), 'failures="0"');
  t.same(sessions, { guide: [], manual: [] }, 'none is left');
});

for (const [name, text] of Object.entries({ 'docs/AUTHOR.md': guide, 'docs/DEV-HARNESS.md': manual }))
  for (const { session, reason } of listUnexecuted(text))
    t.test(`given a session of ${name} that is not executed, when the manual is read, then it says why`, async (t) => {
      t.type(reason, 'string', session);
      t.comment(`not executed: ${session.trim().split('\n')[0]}: ${reason}`);
    });
