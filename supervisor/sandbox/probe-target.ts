import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CanaryFacts } from './canary.ts';

const untouched = 'untouched';

/** What a canary tries to reach: a socket on loopback, and files that any user of the host could read or write. */
export async function openProbeTarget() {
  const folder = mkdtempSync(join(tmpdir(), 'lattice-probe-'));
  const writable = join(folder, 'writable');
  writeFileSync(writable, untouched);
  chmodSync(writable, 0o666);
  chmodSync(folder, 0o711);

  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // it listens on TCP
  const facts: CanaryFacts = { port, supervisorPid: process.pid, readable: '/etc/passwd', writable, program: '' };
  return {
    facts,
    /** Seen from this side: what the canary says of itself is not all there is to go by. */
    wasReached: () => connections > 0 || readFileSync(writable, 'utf8') !== untouched,
    async close(): Promise<void> {
      await new Promise((resolve) => server.close(resolve));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
