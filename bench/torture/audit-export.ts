import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { makeDatabase } from '../../test/support/make-database.ts';
import { createHome, startService } from '../../test/support/start-service.ts';

/**
 * `node audit-export.ts [count]`: exports so many audit rows from a real service, to a `lattice` whose heap is 40 MiB. Prints a line of JSON with rows
 * a second and what the service grew by (MiB of RSS at its highest), and exits 1 unless each row came once and in order.
 */
const count = Number(process.argv[2] ?? 1_000_000);
const atOnce = 10_000;
const mib = 1024;
const closing: (() => unknown)[] = [];
const home = createHome({ teardown: (close: () => unknown) => void closing.push(close) } as never);
const highestKib = (pid: number): number => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);

const database = await makeDatabase(home.dataDir, 1);
const summary = JSON.stringify({ text: 'x'.repeat(100) });
const appendMs = performance.now();
for (let done = 0; done < count; done += atOnce)
  await Promise.all(Array.from({ length: Math.min(atOnce, count - done) }, () => database.append({ kind: 'api.change', summary })));
const appendedPerSecond = Math.round((count / (performance.now() - appendMs)) * 1000);
await database.close();

const service = await startService(home, { env: { LATTICE_RUNNER: 'noop' } });
const before = highestKib(service.pid);
const bin = fileURLToPath(new URL('../../supervisor/cli/lattice.js', import.meta.url));
const args = ['-i', `LATTICE_DATA_DIR=${home.dataDir}`, process.execPath, '--max-old-space-size=40', bin, 'audit', 'export'];
const startMs = performance.now();
const child = spawn('/usr/bin/env', args, { stdio: ['ignore', 'pipe', 'inherit'] });
const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
let [rows, inOrder] = [0, 0];
for await (const line of createInterface({ input: child.stdout })) {
  rows++;
  if (line.startsWith(`{"seq":${inOrder + 1},`)) inOrder++;
}
const code = await ended;
const perSecond = Math.round((rows / (performance.now() - startMs)) * 1000);
const grown = Math.round((highestKib(service.pid) - before) / mib);
const isWhole = code === 0 && rows === inOrder && rows >= count;
console.log(
  `audit-export: ${JSON.stringify({ rows, in_order: inOrder, rows_per_second: perSecond, appended_per_second: appendedPerSecond, service_grew_mib: grown, exit: code })}`,
);
for (const close of closing) await close();
process.exitCode = isWhole ? 0 : 1;
