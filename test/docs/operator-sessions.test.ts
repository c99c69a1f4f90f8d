import { execFile, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { startApp } from '../supervisor/http/start-app.ts';
import { findMissing, listBlocks, parseSession, readText } from './markdown.ts';

const sessions = listBlocks(readText('docs/OPERATOR.md'), 'sh');
const hasCurl = spawnSync('curl', ['--version']).status === 0;

t.test(
  'given the sessions of the manual, when a reader follows them, then each command says what stands there',
  { skip: hasCurl ? false : 'curl is not installed' },
  async (t) => {
    t.ok(sessions.length > 0);
    const app = await startApp(t);
    writeFileSync(join(app.dataDir, 'auth'), `Authorization: Bearer ${app.admin.token}\n`);
    for (const { command, expected } of sessions.flatMap(parseSession)) {
      const output = await run(command, app.dataDir, app.url);
      t.equal(findMissing(expected, output), null, `${command}\n${output}`);
    }
  },
);

const run = (command: string, cwd: string, url: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = execFile('sh', ['-c', command], { cwd, env: { PATH: process.env.PATH, url } }, (error, stdout) =>
      error ? reject(error) : resolve(stdout),
    );
    child.stdin?.end();
  });
