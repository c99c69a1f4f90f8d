import { appendFileSync, existsSync } from 'node:fs';
import type { Failpoint, Reach } from '../../supervisor/failpoints.ts';

/**
 * Ends this process by kill -9 when a failpoint is reached for the n-th time in this thread (`KILL_AT=name:n`), counted while the file
 * `KILL_ARMED` is there, and writes each name into the file `REACHED` when it is first reached.
 */
const { KILL_AT = '', KILL_ARMED = '', REACHED = '' } = process.env;
const [name = '', count = '1'] = KILL_AT.split(':');
const reached = new Set<Failpoint>();
let left = Number(count);

function act(at: Failpoint): void {
  if (REACHED !== '' && !reached.has(at)) appendFileSync(REACHED, `${at}\n`);
  reached.add(at);
  if (at === name && (KILL_ARMED === '' || existsSync(KILL_ARMED)) && --left === 0) process.kill(process.pid, 'SIGKILL');
}

/** A cast that no file of the product has. */
export const reach = act as unknown as Reach;
