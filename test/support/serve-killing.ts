import { flushCompileCache } from 'node:module';
import { reach } from './killing.ts';

// The real service, which kills itself at a failpoint: an entry of the tests, in no package.
const { runService } = await import('../../supervisor/main.ts');
// What is killed keeps no compiled code for the next one, and a start would take twice as long.
const failpoints = { reach, verifyWorker: new URL('./killing-worker.ts', import.meta.url) };
flushCompileCache();
await runService(() => flushCompileCache(), failpoints);
