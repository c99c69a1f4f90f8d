import { existsSync, mkdirSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { removeTree } from './start-service.ts';
import { testFolder } from './test-folder.ts';

t.test('given a link among what a test leaves, when it is removed, then what it points at keeps its files and rights', (t) => {
  const folder = testFolder(t);
  const [doomed, spared] = [join(folder, 'doomed'), join(folder, 'spared')];
  mkdirSync(join(doomed, 'sealed'), { recursive: true });
  mkdirSync(join(spared, 'bin'), { recursive: true, mode: 0o755 });
  symlinkSync(spared, join(doomed, 'link'));

  removeTree(doomed);

  t.notOk(existsSync(doomed));
  t.equal(statSync(join(spared, 'bin')).mode & 0o777, 0o755);
  t.end();
});
