import { openStdioJson } from './stdio-json.ts';

/** Stands for a service with two actions in progress, each with daemons: says so, and waits to be killed. */
const { open } = await openStdioJson();
const real = open({ teardown: () => {} });
await real.arm();
for (let count = 0; count < 2; count++) void real.call('scatterAndHang').catch(() => {});
await real.heard('started', 2);
process.stdout.write('started\n');
