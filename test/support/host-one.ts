import { compilePlugin } from './native-plugin.ts';
import { openWorkshop } from './real-runtime.ts';

/** Stands for the service, in a process that a test can kill: runs one native plugin that has left processes behind, and says so. */
const artifact = compilePlugin('faults/forker.c');
if (artifact === null) throw new Error('no compiler');
const workshop = await openWorkshop();
const real = workshop.open({ teardown: () => {} } as never, { artifact }); // it ends by being killed
await real.arm();
await real.invoke('scatter');
await real.heard('scattered');
process.stdout.write('up\n');
