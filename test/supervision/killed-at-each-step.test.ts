import t from 'tap';
import { killAt, killSteps, killUnderLoad } from '../support/kill-steps.ts';
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

t.test(
  `given 20 busy callers, when the child is killed at ${rounds} moments that a seed picks, then nothing is lost, repeated or left open`,
  async (t) => {
    for await (const { answered, crashed, ...faults } of killUnderLoad(workshop, t, rounds, 20_260_101)) {
      t.ok(crashed > 0 && crashed <= 20, `${answered} answered, ${crashed} crashed`);
      t.same(faults, { other: [], unrecorded: [], repeated: [], strayed: [] });
    }
  },
);
