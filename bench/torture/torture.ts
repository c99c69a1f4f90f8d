import { deepStrictEqual } from 'node:assert';
import { killAt, killSteps, killUnderLoad } from '../../test/support/kill-steps.ts';
import { openWorkshop } from '../../test/support/real-runtime.ts';
import { runAbuses } from './abuse.ts';

/** The full size of what the suite tries in small: `node --expose-gc torture.ts [kills at each step] [MiB of each flood]`. */
const [kills = '100', mebibytes = '1024'] = process.argv.slice(2);
const mib = 1024 * 1024;
const closing: (() => unknown)[] = [];
const lifetime = { teardown: (close: () => unknown) => void closing.push(close) } as Parameters<typeof killAt>[1];
const say = (line: string) => process.stdout.write(`${line}\n`);

const workshop = await openWorkshop();
for (const [name, step] of Object.entries(killSteps)) {
  let count = 0;
  for await (const outcome of killAt(workshop, lifetime, step, Number(kills))) {
    deepStrictEqual(outcome, step.expected, `a child that ${name}, time ${count + 1}`);
    count++;
  }
  say(`ok, killed ${count} times: a child that ${name}`);
  await closing.pop()?.();
}
let [answered, crashed] = [0, 0];
for await (const outcome of killUnderLoad(workshop, lifetime, Number(kills), 4711)) {
  deepStrictEqual([outcome.other, outcome.unrecorded, outcome.repeated, outcome.strayed], [[], [], [], []]);
  answered += outcome.answered;
  crashed += outcome.crashed;
}
say(`ok, killed ${kills} times under load: ${answered} calls answered, ${crashed} failed as plugin-crashed, none lost or repeated`);
await closing.pop()?.();

for await (const result of runAbuses(Number(mebibytes) * mib)) {
  const held = Number(result.counters.held_bytes_most);
  const bounded = held <= 4 * mib && result.grownBytes < 16 * mib && result.neighbourFailures === 0;
  if (!bounded) process.exitCode = 1;
  say(
    `${bounded ? 'ok' : 'not ok'}, ${mebibytes} MiB: ${result.name}: ${result.state} ${result.rule ?? result.cause ?? ''}, held at most ${held} bytes, grown by ${result.grownBytes}, ${result.neighbourCalls} calls next door`,
  );
}
