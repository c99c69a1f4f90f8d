import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { FakeTally, RealTally } from '../../bench/torture/crash-loops.ts';

const program = fileURLToPath(new URL('../../bench/torture/crash-loops.ts', import.meta.url));
const mebibyte = 1024 * 1024;

/** In a process of its own: there a forced collection is possible, and every descriptor and child is the loop's. */
async function loop<T>(kind: 'fake' | 'real', crashes: number): Promise<T> {
  const env = { ...process.env, NODE_OPTIONS: '' }; // a test runner's hooks would hold memory too
  const child = spawn(process.execPath, ['--expose-gc', program, kind, String(crashes)], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  if (said === '') throw new Error(`the loop ended with ${code}`); // it exits 1 for a leak too, which the test tells better
  return JSON.parse(said);
}

t.test(
  'given a plugin that crashes 10 000 times in every way, when it is reset each time it is given up, then nothing grows',
  async (t) => {
    const crashes = 10_000;

    const tally = await loop<FakeTally>('fake', crashes);

    t.equal(tally.crashes, crashes);
    t.ok(tally.resets > crashes / 10 && tally.resets <= crashes / 5, `the breaker opened ${tally.resets} times`);
    for (const cause of ['exit-code', 'signal', 'out-of-memory', 'protocol-violation', 'hung', 'not-ready-in-time', 'spawn-failed'])
      t.ok(Number(tally.causes[cause]) > 100, `${cause}: ${tally.causes[cause]}`);
    t.equal(tally.pendingTimers, 0);
    t.same([tally.most.exits, tally.most.crashTimes], [20, 5]);
    t.ok(tally.most.storedBytes < mebibyte, `${tally.most.storedBytes} bytes stored at most`);
    t.ok(tally.heapGrowthBytes < 8 * mebibyte, `the heap grew by ${tally.heapGrowthBytes} bytes`);
  },
);

t.test(
  'given real processes that crash 60 times, when it is over, then no descriptor, process, zombie, uid or timer is held',
  async (t) => {
    const tally = await loop<RealTally>('real', 60);

    t.equal(tally.crashes, 60);
    t.ok(tally.resets >= 8, `the breaker opened ${tally.resets} times`);
    t.same(Object.keys(tally.causes).sort(), ['exit-code', 'signal']);
    const before = new Map(listCounts(tally.before));
    t.same(
      listCounts(tally.after).filter(([name, count]) => count > (before.get(name) ?? 0)),
      [],
    );
    t.match(tally.after, { processes: 0, zombies: 0, uids: 0 });
    t.ok(tally.heapGrowthBytes < 16 * mebibyte, `the heap grew by ${tally.heapGrowthBytes} bytes`);
  },
);

/** Each count under its name, also those inside an object. */
function listCounts(held: object): [string, number][] {
  return Object.entries(held).flatMap(([name, value]): [string, number][] =>
    typeof value === 'object' && value !== null
      ? Object.entries(value).map(([inner, count]) => [`${name}.${inner}`, Number(count)])
      : [[name, Number(value)]],
  );
}
