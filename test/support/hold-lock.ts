// Holds the lock of a data directory until it is killed.
import { lockDataDir } from '../../supervisor/data-lock.ts';

await lockDataDir(process.argv[2] ?? '');
process.stdout.write('held\n');
process.stdin.resume(); // keeps the process; it ends with the test also when nobody kills it
