import t from 'tap';
import { openForgedCopy } from '../support/audit-copy.ts';
import { makeDatabase } from '../support/make-database.ts';
import { changeOneByte } from '../support/mutate-audit.ts';
import { testFolder } from '../support/test-folder.ts';

t.test('given a chain, when single bytes of its rows are changed at random, then each is found where it is', async (t) => {
  const folder = testFolder(t);
  const database = await makeDatabase(folder);
  const head = database.head();
  const forged = await openForgedCopy(t, folder, database);
  const missed: string[] = [];

  for (let seed = 1; seed <= 1000; seed++) {
    const fault = await changeOneByte(forged, head, seed);
    if (fault !== null) missed.push(fault);
  }

  t.same(missed, []);
});
