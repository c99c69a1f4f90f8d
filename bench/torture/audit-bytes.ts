import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openConnection, openModes } from '../../supervisor/sqlite-connection.ts';
import { makeDatabase } from '../../test/support/make-database.ts';
import { changeOneByte } from '../../test/support/mutate-audit.ts';

// `node audit-bytes.ts [count]`: changes single bytes of audit rows at random; each must be found where it is.
const count = Number(process.argv[2] ?? 10_000);
const folder = mkdtempSync(join(tmpdir(), 'lattice-audit-bytes-'));
try {
  const database = await makeDatabase(folder, 100);
  const head = database.head();
  await database.close();
  const forged = await openConnection(join(folder, 'lattice.db'), openModes.write);
  await forged.exec('DROP TRIGGER audit_no_update');
  const missed: string[] = [];
  for (let seed = 1; seed <= count; seed++) {
    const fault = await changeOneByte(forged, head, seed);
    if (fault !== null) missed.push(fault);
  }
  await forged.close();
  console.log(`${count} single bytes of audit rows changed, ${count - missed.length} found`);
  for (const fault of missed) console.log(fault);
  process.exitCode = missed.length === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true });
}
