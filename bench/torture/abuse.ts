import { asHostError } from '../../protocol/errors.ts';
import { createRealClock, delay } from '../../supervisor/clock.ts';
import { eventually } from '../../test/support/eventually.ts';
import { createFakeClock } from '../../test/support/fake-clock.ts';
import { readFault } from '../../test/support/kill-steps.ts';
import { openWorkshop, type RealRuntime } from '../../test/support/real-runtime.ts';

/**
 * What a child can pour into the supervisor, with the outcome of each: `node --expose-gc abuse.ts <MiB> [name]` prints a line of JSON for
 * each. A neighbour is called over and over all the while.
 */
export type AbuseResult = {
  name: string;
  state: string;
  cause: string | null;
  rule: string | null;
  settled: string;
  counters: Record<string, number>;
  loggedBytes: number;
  neighbourCalls: number;
  neighbourFailures: number;
  decisions: number;
  whole: boolean; // all of it was poured, the child was not ended for it
  grownBytes: number; // heap and external after a forced collection
};
type Abuse = {
  begin(real: RealRuntime, bytes: number): Promise<unknown>;
  whileAlive?: boolean;
  advanceMs?: number;
  stalledMs?: number;
  heard?: string;
};

const mib = 1024 * 1024;
const restMs = 100; // far longer than a child within its share is not read at a time
const flood =
  (text: string, fd = 1) =>
  (real: RealRuntime, total: number) =>
    real.invoke('flood', { text, total, fd }, 3_600_000);
const notice = '{"jsonrpc":"2.0","method":"$/nobody","params":{}}\n';

export const abuses: Record<string, Abuse> = {
  'a line without an end': { begin: flood('{"x":"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy') },
  'a stray line without an end': { begin: flood('just saying, on and on, ') },
  'valid lines': { begin: flood(notice), whileAlive: true },
  'blank lines': { begin: flood('\n') },
  'stray lines': { begin: flood('just saying\n') },
  'lines of garbage': { begin: flood('\u0001\u0002 {"jsonrpc"\n') },
  'broken messages': { begin: flood('{"jsonrpc":"2.0"\n') },
  'random bytes': { begin: (real, total) => real.invoke('garbage', { seed: 4711, total }) },
  'asks over the cap': { begin: flood('{"jsonrpc":"2.0","id":"same","method":"no.such"}\n') },
  stderr: { begin: flood('a line of the log, quite an ordinary one\n', 2), whileAlive: true },
  'stderr without line ends': { begin: flood('x'.repeat(1000), 2), whileAlive: true },
  'half a line, then silence': {
    begin: (real) => real.invoke('hush', { length: mib }),
    heard: 'half a line is out',
    advanceMs: 35_000,
  },
  'half a line at its exit': { begin: (real) => real.invoke('leave', { length: mib, code: 0 }) },
  'large answers that it does not read': {
    begin: (real) => real.invoke('gorge', { method: 'kv.get', params: { key: 'large' }, count: 60 }),
    heard: 'gorged',
    stalledMs: 10_000,
  },
};

/** Memory that a collection cannot take back. */
export function measureMemory(): number {
  const collect = globalThis.gc;
  if (!collect) throw new Error('start node with --expose-gc');
  for (let times = 0; times < 4; times++) collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

export async function* runAbuses(bytes: number, names: readonly string[] = Object.keys(abuses)): AsyncGenerator<AbuseResult> {
  const workshop = await openWorkshop();
  const closing: (() => unknown)[] = [];
  const lifetime = { teardown: (close: () => unknown) => void closing.push(close) } as Parameters<typeof workshop.open>[0];
  const neighbour = workshop.open(lifetime, { id: 'example.neighbour', artifact: readFault('raw.js') });
  await neighbour.runtime.arm();
  await abuse('lines of garbage'); // whatever is made once is made before the first measurement

  async function abuse(name: string): Promise<AbuseResult> {
    const before = measureMemory();
    const calls = { answered: 0, failed: 0, go: true };
    const neighbourly = (async () => {
      for (; calls.go; ) {
        const answer = await neighbour.invoke('echo', calls.answered).catch(() => null);
        if (answer === calls.answered) calls.answered++;
        else calls.failed++;
      }
    })();
    const result = await misbehave(abuses[name] as Abuse); // named by a key of the table
    await neighbour.invoke('echo', 'after it');
    calls.go = false;
    await neighbourly;
    for (const list of [neighbour.audit, neighbour.outputs, neighbour.log.events]) list.length = 0;
    return { name, ...result, neighbourCalls: calls.answered, neighbourFailures: calls.failed, grownBytes: measureMemory() - before };
  }

  async function misbehave({ begin, whileAlive, advanceMs, stalledMs, heard }: Abuse) {
    const [clock, runnerClock] = [createFakeClock(), createFakeClock()];
    const real = workshop.open(lifetime, {
      artifact: readFault('raw.js'),
      clock,
      ...(stalledMs ? { runnerClock } : {}),
      handlers: { 'kv.get': async () => ({ value: 'v'.repeat(256 * 1024), revision: 1 }) },
    });
    await real.runtime.arm();
    const call = begin(real, bytes).then(String, (error) => asHostError(error).code);
    if (heard) await real.heard(heard);
    if (advanceMs) await clock.advance(advanceMs);
    if (stalledMs) {
      await eventually(() => Number(real.run().counters().held_bytes) > mib);
      await runnerClock.advance(stalledMs);
    }
    if (whileAlive) {
      await call;
      await readAll(() => Number(real.run().counters().stderr_dropped_bytes));
    } else await real.until(() => ['backoff', 'failed'].includes(real.entered.at(-1) ?? ''));
    const counters = real.run().counters();
    const exit = real.lastExit();
    const result = {
      state: real.runtime.state(),
      cause: exit?.cause ?? null,
      rule: exit?.cause === 'protocol-violation' ? (exit.detail.split(':')[0] ?? null) : null,
      settled: await call,
      counters,
      loggedBytes: real.outputs.reduce((sum, { text }) => sum + text.length, 0),
      decisions: real.decisions().length,
      whole: whileAlive === true,
    };
    await closing.pop()?.();
    return result;
  }

  try {
    for (const name of names) yield await abuse(name);
  } finally {
    for (const close of closing) await close();
  }
}

if (process.argv[1] === import.meta.filename) {
  const [size = '64', ...names] = process.argv.slice(2);
  for await (const result of runAbuses(Number(size) * mib, names.length > 0 ? names : undefined))
    process.stdout.write(`${JSON.stringify(result)}\n`);
}

/** A flood is read within its share, so its end may still lie in the pipe: waits until no more of it comes. */
async function readAll(count: () => number): Promise<void> {
  for (let before = -1; before !== count(); ) {
    before = count();
    await delay(createRealClock(), restMs);
  }
}
