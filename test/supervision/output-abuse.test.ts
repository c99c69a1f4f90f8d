import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { type AbuseResult, abuses } from '../../bench/torture/abuse.ts';

const mib = 1024 * 1024;
const floodMib = 24; // more than what memory may grow by; what a flood is let through in a second is bounded
const violated = (rule: string) => ({ state: 'backoff', cause: 'protocol-violation', rule, settled: 'plugin-crashed' });

/** The exact outcome of each. */
const expected: Record<string, Partial<AbuseResult>> = {
  'a line without an end': violated('line-too-long'),
  'a stray line without an end': violated('line-too-long'),
  'valid lines': { state: 'ready', cause: null, settled: 'flooded' },
  'blank lines': violated('stray-output'),
  'stray lines': violated('stray-output'),
  'lines of garbage': violated('stray-output'),
  'broken messages': violated('invalid-json'),
  'random bytes': violated('stray-output'),
  'asks over the cap': { ...violated('duplicate-id'), decisions: 1 },
  stderr: { state: 'ready', cause: null, settled: 'flooded' },
  'stderr without line ends': { state: 'ready', cause: null, settled: 'flooded' },
  'half a line, then silence': { state: 'backoff', cause: 'hung', settled: 'plugin-crashed' },
  'half a line at its exit': violated('partial-line-at-end'),
  'large answers that it does not read': violated('write-stalled'),
};

/** In a process of its own, where memory is measured after a forced collection. */
function pourAll(): Promise<Map<string, AbuseResult>> {
  const script = fileURLToPath(new URL('../../bench/torture/abuse.ts', import.meta.url));
  const child = spawn(process.execPath, ['--expose-gc', script, String(floodMib)], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  const results = new Map<string, AbuseResult>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    const result = JSON.parse(line) as AbuseResult; // printed by that script
    results.set(result.name, result);
  });
  return new Promise((resolve) => child.once('close', () => resolve(results)));
}

const results = await pourAll();

t.same(Object.keys(expected), Object.keys(abuses), 'each has its outcome');
for (const [name, outcome] of Object.entries(expected))
  t.test(
    `given a child that pours out ${name}, when ${floodMib} MiB of it would come, then the outcome is exact and memory bounded`,
    async (t) => {
      const result = results.get(name);
      if (!result) return void t.fail('it did not get so far');
      const { counters } = result;

      t.match(result, outcome);
      t.ok(Number(counters.held_bytes_most) <= 4 * mib, `held at most ${counters.held_bytes_most} bytes`);
      t.ok(result.grownBytes < 16 * mib, `grown by ${result.grownBytes} bytes`);
      t.ok(result.loggedBytes < 4 * mib, `logged ${result.loggedBytes} bytes`);
      t.equal(result.neighbourFailures, 0);
      t.ok(result.neighbourCalls > 0, `${result.neighbourCalls} calls of the neighbour`);
    },
  );

const pouredBytes = (piece: number): number => {
  const chunk = Math.floor(65_536 / piece) * piece;
  return Math.ceil((floodMib * mib) / chunk) * chunk;
};

t.test('given a flood of stderr, when it is over, then each byte was either logged or counted as dropped', async (t) => {
  const unbroken = results.get('stderr without line ends');
  t.equal(
    Number(unbroken?.loggedBytes) + Number(unbroken?.counters.stderr_dropped_bytes),
    pouredBytes(1000) + 'about to flood\n'.length - 1,
  );
});

t.test('given a child that reads no answers, when it is no longer read, then each ask that was read has one decision row', async (t) => {
  const result = results.get('large answers that it does not read');
  t.equal(result?.decisions, Number(result?.counters.received) - 1, 'beside the answer to initialize');
});

t.test('given a flood of valid lines, when it is over, then each was read', async (t) => {
  const notice = '{"jsonrpc":"2.0","method":"$/nobody","params":{}}\n'.length;
  t.equal(results.get('valid lines')?.counters.ignored_notifications, pouredBytes(notice) / notice);
});
