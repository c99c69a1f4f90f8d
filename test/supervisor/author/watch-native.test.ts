import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createRealClock } from '../../../supervisor/clock.ts';
import { watchSources } from '../../../supervisor/dev/console/watch-sources.ts';
import { testFolder } from '../../support/test-folder.ts';

t.test('given native sources, when the executable and then a source change, then only the source is told', async (t) => {
  const folder = testFolder(t, { 'plugin.c': '', plugin: '' });
  const told = Promise.withResolvers<readonly string[]>();
  const watching = watchSources(folder, createRealClock(), told.resolve);
  t.teardown(watching.close);
  await watching.ready;
  writeFileSync(join(folder, 'plugin'), 'built');
  writeFileSync(join(folder, 'plugin.c'), 'changed');
  t.same(await told.promise, [join(folder, 'plugin.c')]);
});
