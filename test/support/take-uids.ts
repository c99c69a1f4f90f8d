// Takes so many uids for children from a folder of claims, says which, and holds them until it is killed or its input ends.
import { createUidPool } from '../../supervisor/sandbox/uids.ts';

const [folder = '', count = '0', start = '0'] = process.argv.slice(2);
const pool = createUidPool({ folder, owners: () => new Map(), start: Number(start) });
const uids: number[] = [];
for (let taken = 0; taken < Number(count); taken++) uids.push((await pool.take()).uid);
process.stdout.write(`${JSON.stringify(uids)}\n`);
process.stdin.resume();
