import t from 'tap';
import { killAt, killSteps } from '../support/kill-steps.ts';
import { openWorkshop } from '../support/real-runtime.ts';

const workshop = await openWorkshop();
const rounds = 5;

for (const [name, step] of Object.entries(killSteps))
  t.test(
    `given a child that ${name}, when it is killed with SIGKILL, ${rounds} times, then every call and row is accounted for`,
    async (t) => {
      let round = 0;
      for await (const outcome of killAt(workshop, t, step, rounds)) t.strictSame(outcome, step.expected, `time ${++round}`);
    },
  );
