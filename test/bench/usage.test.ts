import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { showMore, showSpread, spread } from '../../bench/spread.ts';
import { suites } from '../../bench/suites.ts';
import { readText } from '../docs/markdown.ts';

const entry = fileURLToPath(new URL('../../bench/run.ts', import.meta.url));
const run = (...args: string[]) => spawnSync('/usr/bin/env', ['-i', process.execPath, entry, ...args], { encoding: 'utf8' });

t.test('given the bench, when it is asked for help, then every suite is named and none is run', async (t) => {
  for (const word of ['--help', '-h']) {
    const { status, stdout, stderr } = run(word);
    t.same([status, stderr], [0, ''], word);
    for (const name of Object.keys(suites)) t.match(stdout, `  ${name} `, name);
  }
});

t.test('given a suite or an option that there is not, when it is asked for, then the answer names what there is', async (t) => {
  for (const [word, said] of [
    ['toString', 'no such suite: toString\n'],
    ['--quick', "Unknown option '--quick'"],
  ] as const) {
    const { status, stdout, stderr } = run('rpc', word);
    t.same([status, stdout], [2, ''], word);
    t.match(stderr, said);
    t.match(stderr, 'npm run bench -- rpc invoke');
  }
});

t.test(
  'given values below nothing, when their spread is shown, then each can be read, and a difference in the noise is not shown',
  async (t) => {
    t.same(showSpread(spread([-5776, -475, -287])), ['-475', '-5776 to -287']);
    t.same(showMore(spread([-12, 40, 95])), ['-', 'lost in the noise']);
    t.same(showMore(spread([38, 40, 95])), ['40', '38 to 95']);
  },
);

t.test('given the suites, when the page about performance is read, then each is explained there', async (t) => {
  const page = readText('docs/PERFORMANCE.md');
  for (const name of Object.keys(suites)) t.match(page, `| \`${name}\``, name);
});
