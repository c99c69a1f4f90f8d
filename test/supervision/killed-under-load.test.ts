import t from 'tap';
import { killUnderLoad } from '../support/kill-steps.ts';
import { openWorkshop } from '../support/real-runtime.ts';

const workshop = await openWorkshop();
const rounds = 5;

t.test(
  `given 20 busy callers, when the child is killed at ${rounds} moments that a seed picks, then nothing is lost, repeated or left open`,
  async (t) => {
    for await (const { answered, crashed, ...faults } of killUnderLoad(workshop, t, rounds, 20_260_101)) {
      t.ok(crashed > 0 && crashed <= 20, `${answered} answered, ${crashed} crashed`);
      t.same(faults, { other: [], unrecorded: [], repeated: [], strayed: [] });
    }
  },
);
