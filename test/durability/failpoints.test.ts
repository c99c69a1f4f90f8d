import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import * as module from '../../supervisor/failpoints.ts';
import { type Failpoint, failpoints, noFailpoints } from '../../supervisor/failpoints.ts';

const root = join(import.meta.dirname, '..', '..');
const product = globSync(['supervisor/**/*.{ts,js}', 'protocol/**/*.ts', 'runner-child/**/*.ts'], { cwd: root })
  .filter((file) => !file.includes('node_modules') && file !== 'supervisor/failpoints.ts')
  .map((file) => ({ file, text: readFileSync(join(root, file), 'utf8') }));

// The compiler refuses any other function of this type, since only failpoints.ts can make one: all that is left to look for are ways around it.
t.test('given the sources of the product, when one is handed failpoints, then it has no cast that could make others', async (t) => {
  const users = product.filter(({ text }) => text.includes('failpoints.ts'));
  const casts = users.filter(({ text }) => /\bas (unknown as )?(Reach|Failpoints|never)\b|@ts-|import\(.*[^'"`]\)/.test(text));

  t.same(
    casts.map(({ file }) => file),
    [],
  );
  t.ok(users.length > 15, 'they were looked at');
  t.same(
    product.filter(({ text }) => /serve-killing|KILL_AT/.test(text)),
    [],
    'nor names the entry of the tests',
  );
  t.same(Object.keys(module).sort(), ['failpoints', 'noFailpoints']);
});

t.test('given the failpoints of the product, when any is reached, then nothing happens, whatever the environment says', async (t) => {
  const readers = product.filter(({ text }) => text.includes('failpoints.ts') && text.includes('process.env')).map(({ file }) => file);

  for (const name of Object.keys(failpoints)) t.equal(noFailpoints.reach(name as Failpoint), undefined);
  t.equal(noFailpoints.verifyWorker, null);
  t.same(readers, ['supervisor/main.ts'], 'which hands them on as they are');
  t.match(readFileSync(join(root, 'supervisor/main.ts'), 'utf8'), 'failpoints: Failpoints = noFailpoints,');
});

t.test('given the names of the failpoints, when the sources are searched, then each is reached somewhere', async (t) => {
  const unreached = Object.keys(failpoints).filter((name) => !product.some(({ text }) => text.includes(`reach('${name}')`)));

  t.same(unreached, []);
});
