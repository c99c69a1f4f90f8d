import { copyFileSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createRealClock } from '../../../supervisor/clock.ts';
import { prepareDatabaseFile } from '../../../supervisor/database-file.ts';
import { openConnection, openModes } from '../../../supervisor/sqlite-connection.ts';
import { openOrSetAside } from '../../../supervisor/storage/open-or-set-aside.ts';
import { createQuietLog } from '../../support/quiet-log.ts';
import { testFolder } from '../../support/test-folder.ts';

t.test(
  'given a migration that a crash cut off in the middle of its commit, when the service starts, then it is taken back and done again',
  async (t) => {
    const folder = testFolder(t);
    const [before, after] = [join(folder, 'before.db'), join(folder, 'data', 'lattice.db')];
    mkdirSync(join(folder, 'data'), { mode: 0o700 });
    await prepareDatabaseFile(before);
    const connection = await openConnection(before, openModes.write);
    await connection.exec('PRAGMA cache_size = 1; BEGIN; CREATE TABLE audit (n TEXT);');
    for (let n = 0; n < 200; n++) await connection.run('INSERT INTO audit VALUES (?)', ['x'.repeat(4000)]);
    for (const end of ['', '-journal']) copyFileSync(`${before}${end}`, `${after}${end}`); // what a crash would leave
    await connection.exec('ROLLBACK');
    await connection.close();
    t.ok(statSync(`${after}-journal`).size > 512, 'there is something to take back');

    const { database, safeMode } = await openOrSetAside({
      file: after,
      headFile: join(folder, 'data', 'audit.head'),
      clock: createRealClock(),
      log: createQuietLog(),
    });
    t.teardown(() => database?.close());

    t.equal(safeMode, null);
    t.same(await database?.read.all('SELECT seq FROM audit'), []);
  },
);
