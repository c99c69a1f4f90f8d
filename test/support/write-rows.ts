// Writes rows and entries until it is killed, and prints the number of each once it is acknowledged.
import { join } from 'node:path';
import { createRealClock } from '../../supervisor/clock.ts';
import { openDatabase } from '../../supervisor/database.ts';
import { createKvStore } from '../../supervisor/kv-store.ts';
import { createQuietLog } from './quiet-log.ts';

const [directory = '', firstText = '0'] = process.argv.slice(2);
const database = await openDatabase({ file: join(directory, 'lattice.db'), clock: createRealClock(), log: createQuietLog() });
const store = createKvStore({ database, quota: { keys: 1_000_000, bytes: 1_000_000_000 } });

async function writeOn(lane: number): Promise<never> {
  for (let count = Number(firstText) + lane; ; count += 4) {
    const name = String(count);
    if (lane % 2 === 0) await database.append({ kind: 'host.decision', plugin: 'example.rows', verdict: 'allow', requestId: name });
    else await store.put('plugin:example.rows', name, name, 0, { kind: 'host.decision', plugin: 'example.rows', requestId: name });
    process.stdout.write(`${name}\n`);
  }
}
await Promise.all([0, 1, 2, 3].map(writeOn));
