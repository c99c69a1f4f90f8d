import t from 'tap';
import {
  askable,
  type Command,
  commands,
  deadlinesMs,
  type Fact,
  facts,
  publicStates,
  type State,
  states,
  step,
  table,
} from '../../supervisor/runtime-states.ts';

/** The whole table again, by hand: state, event, where to, effects. What is not here is dropped (facts) or kept (commands). */
const moves: [State, Command | Fact, State, string][] = [
  ['stopped', 'start', 'starting', 'spawn'],
  ['stopped', 'restart', 'starting', 'spawn'],
  ['starting', 'stop', 'terminating', 'revokeGrant sendTerm'],
  ['starting', 'ready', 'ready', ''],
  ['starting', 'timeout', 'terminating', 'revokeGrant sendTerm'],
  ['starting', 'violated', 'killing', 'revokeGrant sendKill'],
  ['ready', 'restart', 'draining', 'sendShutdown'],
  ['ready', 'stop', 'draining', 'sendShutdown'],
  ['ready', 'pong', 'ready', ''],
  ['ready', 'timeout', 'terminating', 'revokeGrant sendTerm'],
  ['ready', 'violated', 'killing', 'revokeGrant sendKill'],
  ['draining', 'drained', 'terminating', 'revokeGrant sendTerm'],
  ['draining', 'timeout', 'terminating', 'revokeGrant sendTerm'],
  ['draining', 'violated', 'killing', 'revokeGrant sendKill'],
  ['terminating', 'timeout', 'killing', 'revokeGrant sendKill'],
  ['terminating', 'violated', 'killing', 'revokeGrant sendKill'],
  ['killing', 'timeout', 'failed', 'reportUnkillable'],
  ['backoff', 'start', 'starting', 'spawn'],
  ['backoff', 'restart', 'starting', 'spawn'],
  ['backoff', 'stop', 'stopped', ''],
  ['backoff', 'timeout', 'starting', 'spawn'],
  ['failed', 'start', 'starting', 'clearCrashes spawn'],
  ['failed', 'restart', 'starting', 'clearCrashes spawn'],
  ['failed', 'stop', 'stopped', ''],
];
const ends: [Fact, State][] = [
  ['exited', 'stopped'],
  ['crashed', 'backoff'],
  ['exhausted', 'failed'],
  ['fatal', 'failed'],
];
for (const state of ['starting', 'ready', 'draining', 'terminating', 'killing'] as const)
  for (const [fact, to] of ends) moves.push([state, fact, to, 'revokeGrant']);

for (const state of states) {
  for (const event of [...commands, ...facts]) {
    const move = moves.find(([from, on]) => from === state && on === event);
    const expected = move ? `${move[2]} ${move[3]}`.trim() : (commands as readonly string[]).includes(event) ? 'keep' : 'drop';
    t.test(`given a runtime that is ${state}, when ${event} comes, then the table says ${expected}`, async (t) => {
      const cell = step(state, event);
      t.equal(typeof cell === 'string' ? cell : [cell.enter, ...cell.effects].join(' '), expected);
    });
  }
}

t.test(
  'given any state with a child, when it is told to stop and nothing but time passes, then it ends where no child is wanted',
  async (t) => {
    for (const from of states) {
      let state = from;
      for (const event of ['stop', ...Array<'timeout'>(6).fill('timeout')] as const) {
        const cell = step(state, event);
        if (typeof cell === 'object') state = cell.enter;
        if (event === 'timeout' && state === 'starting') t.fail(`${from} starts again after a stop`);
      }
      t.ok(['stopped', 'failed'].includes(state), `${from} ends ${state}`);
    }
  },
);

t.test('given a stop, when each step uses its whole deadline, then it takes at most 5 seconds', async (t) => {
  t.equal((deadlinesMs.draining ?? 0) + (deadlinesMs.terminating ?? 0) + (deadlinesMs.killing ?? 0), 5000);
});

t.test(
  'given each state, when it is shown or asked for the grant, then there is a public name, and only a ready child may ask for everything',
  async (t) => {
    t.same(Object.keys(table), [...states]);
    t.same(
      states.map((state) => publicStates[state]),
      ['stopped', 'starting', 'armed', 'stopping', 'stopping', 'stopping', 'restarting', 'failed'],
    );
    t.same(
      states.filter((state) => askable[state] !== 'none').map((state) => `${state} ${askable[state]}`),
      ['ready all', 'draining own'],
    );
  },
);
