// Holds the lock of a data directory until it is killed.
import { lockDataDir } from '../../supervisor/data-lock.ts';

const lock = await lockDataDir(process.argv[2] ?? '');
process.once('exit', () => void lock.release()); // refers to it: a lock that is collected is free
process.stdout.write('held\n');
process.stdin.resume(); // keeps the process; it ends with the test also when nobody kills it
