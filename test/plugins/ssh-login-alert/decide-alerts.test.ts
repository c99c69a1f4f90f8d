import t from 'tap';
import { type Batch, decideAlerts, type Entry, hasBatch } from '../../../plugins/lattice.ssh-login-alert/decide-alerts.ts';
import { parseSshdMessage } from '../../../plugins/lattice.ssh-login-alert/parse-sshd-line.ts';
import { readConfig } from '../../../plugins/lattice.ssh-login-alert/read-config.ts';
import { readLogTime } from '../../../plugins/lattice.ssh-login-alert/read-log-time.ts';
import { createState, parseState, type State, stateLimits, type User, writeState } from '../../../plugins/lattice.ssh-login-alert/state.ts';

const minute = 60_000;
let batches = 0;

/** `[minute of the log, message]` */
function toBatch(lines: [number, string][], users: Record<string, User> = {}): Batch {
  const entries = lines.map(([at, message]): Entry => {
    const event = parseSshdMessage(message);
    if (event === null) throw new Error(`the test's own line is not understood: ${message}`);
    return { event, timeMs: at * minute, time: `minute ${at}` };
  });
  const names = entries.flatMap(({ event }) => (event.kind === 'login' ? [event.user] : []));
  const keys = new Map(names.map((name) => [name, `user:${name}`]));
  return {
    feed: 'test',
    id: `b${batches++}`,
    entries,
    keys,
    users: new Map(names.map((name) => [`user:${name}`, users[name] ?? { version: 1, name, sources: [] }])),
  };
}
const run = (state: State, lines: [number, string][], config: Record<string, unknown> = {}) =>
  decideAlerts(state, toBatch(lines), readConfig(config));
const failed = (user: string, from = '203.0.113.9', port = 5) => `Failed password for ${user} from ${from} port ${port} ssh2`;
const times = (count: number, make: (at: number) => [number, string]) => Array.from({ length: count }, (_, at) => make(at));
const titles = (state: State) => state.pending.map((alert) => alert.title);

t.test('given nine failures in ten minutes, when they are counted, then there is no alert', async (t) => {
  const { state, failures } = run(
    createState(),
    times(9, (at) => [at, failed('root')]),
  );
  t.equal(failures, 9);
  t.same(titles(state), []);
});

t.test('given ten failures in ten minutes, when they are counted, then the source and the user have one alert each', async (t) => {
  const { state } = run(
    createState(),
    times(10, (at) => [at, failed('root')]),
  );
  t.same(titles(state), ['SSH failures: 10 from 203.0.113.9 within 10 min', 'SSH failures: 10 for user root within 10 min']);
});

t.test('given ten failures in twenty minutes, when they are counted, then there is no alert', async (t) => {
  t.same(
    titles(
      run(
        createState(),
        times(10, (at) => [at * 2, failed('root')]),
      ).state,
    ),
    [],
  );
});

t.test('given a burst that goes on for an hour over many batches, when it is counted, then it is reported once', async (t) => {
  let state = createState();
  for (let at = 0; at < 60; at++)
    state = run(
      state,
      times(4, (n) => [at + n / 4, failed('invalid user x', '203.0.113.9', 1000 + at)]),
    ).state;
  t.equal(state.counters.failures, 240);
  t.equal(state.pending.length, 1);
});

t.test('given a burst, then silence, then another, when they are counted, then each is reported', async (t) => {
  const first = run(
    createState(),
    times(10, () => [0, failed('invalid user x')]),
  ).state;
  const second = run(
    first,
    times(10, () => [30, failed('invalid user x')]),
  ).state;
  t.equal(second.pending.length, 2);
  t.not(second.pending[0]?.ref, second.pending[1]?.ref);
});

t.test('given one account and many sources, when it is attacked, then the user alert tells it', async (t) => {
  const { state } = run(
    createState(),
    times(10, (at) => [0, failed('root', `203.0.113.${at}`)]),
  );
  t.same(titles(state), ['SSH failures: 10 for user root within 10 min']);
});

t.test(
  'given a name that does not exist and many sources, when it is attacked, then it is told only if the operator asked for it',
  async (t) => {
    const lines = times(10, (at) => [0, failed('invalid user oracle', `203.0.113.${at}`)]) as [number, string][];
    t.same(titles(run(createState(), lines).state), []);
    t.same(titles(run(createState(), lines, { count_invalid_users: true }).state), ['SSH failures: 10 for user oracle within 10 min']);
  },
);

t.test('given addresses of one /64, when they fail, then they are one source', async (t) => {
  const { state } = run(
    createState(),
    times(10, (at) => [0, failed('invalid user x', `2001:db8::${at + 1}`)]),
  );
  t.same(titles(state), ['SSH failures: 10 from 2001:db8::/64 within 10 min']);
});

t.test('given a repeated message, when it is counted, then each repetition counts', async (t) => {
  const { state, failures } = run(createState(), [
    [0, failed('invalid user x')],
    [0, `message repeated 9 times: [ ${failed('invalid user x')}]`],
  ]);
  t.equal(failures, 10);
  t.equal(state.pending.length, 1);
});

t.test('given the lines of one attempt, when they are counted, then it is one failure however it is logged', async (t) => {
  const one = (lines: string[]) =>
    run(
      createState(),
      lines.map((line): [number, string] => [0, line]),
    ).failures;
  t.equal(
    one([
      'Invalid user x from 203.0.113.9 port 5',
      'Failed none for invalid user x from 203.0.113.9 port 5 ssh2',
      failed('invalid user x'),
      'Connection closed by invalid user x 203.0.113.9 port 5 [preauth]',
    ]),
    1,
  );
  t.equal(
    one([
      'Invalid user x from 203.0.113.9 port 5',
      failed('invalid user x'),
      failed('invalid user x'),
      'Connection closed by invalid user x 203.0.113.9 port 5 [preauth]',
    ]),
    2,
  );
  t.equal(
    one(['Invalid user x from 203.0.113.9 port 5', 'Connection closed by invalid user x 203.0.113.9 port 5 [preauth]']),
    1,
    'where only keys are allowed',
  );
  t.equal(one(['Connection closed by authenticating user root 203.0.113.9 port 5 [preauth]']), 1, 'where only keys are allowed');
  t.equal(
    one([
      failed('root'),
      'error: maximum authentication attempts exceeded for root from 203.0.113.9 port 5 ssh2 [preauth]',
      'Disconnecting authenticating user root 203.0.113.9 port 5: Too many authentication failures [preauth]',
    ]),
    1,
  );
  t.equal(
    one([
      'Failed none for root from 203.0.113.9 port 5 ssh2',
      'Postponed publickey for root from 203.0.113.9 port 5 ssh2 [preauth]',
      'Connection closed by 203.0.113.9 port 5 [preauth]',
    ]),
    0,
  );
});

t.test('given more bursts than an hour may report, when they come, then one alert says that the rest is held back', async (t) => {
  const burst = (at: number, host: number) => times(10, () => [at, failed('invalid user x', `203.0.113.${host}`)]) as [number, string][];
  let state = run(
    createState(),
    [0, 1, 2, 3, 4].flatMap((host) => burst(0, host)),
    { burst_alerts_per_hour: 2 },
  ).state;
  t.same(
    state.pending.map((alert) => alert.kind),
    ['failures', 'failures', 'held-back'],
  );
  state = run(state, burst(61, 9), { burst_alerts_per_hour: 2 }).state;
  t.same(
    state.pending.map((alert) => alert.kind),
    ['failures', 'failures', 'held-back', 'failures'],
  );
});

t.test('given a log whose clock goes back, when failures come, then they are still counted together', async (t) => {
  t.equal(
    run(
      createState(),
      times(10, (at) => [at < 5 ? 180 + at : 120 + at, failed('invalid user x')]),
    ).state.pending.length,
    1,
    'the end of summer time',
  );
  const newYear = ['Dec 31 23:58:00 ', 'Dec 31 23:59:00 ', 'Jan  1 00:00:30 ', 'Jan  1 00:01:00 '].map(
    (text) => (readLogTime(text)?.timeMs ?? 0) / minute,
  );
  t.equal(
    run(
      createState(),
      newYear.map((at) => [at, failed('invalid user x')]),
      { failure_threshold: 4 },
    ).state.pending.length,
    1,
    'a year without its number',
  );
});

t.test(
  'given a login from a new source, when it is decided, then there is one alert, and none for its next logins in the batch',
  async (t) => {
    const line = 'Accepted password for ada from 203.0.113.9 port 5 ssh2';
    const { state, logins, alerts } = run(createState(), [
      [0, line],
      [1, line],
      [2, line],
    ]);
    t.same({ logins, alerts }, { logins: 3, alerts: 1 });
    t.same(titles(state), ['SSH login: ada from 203.0.113.9 (new source)']);
    t.match(state.redo.changes, [{ key: 'user:ada', name: 'ada', source: '203.0.113.9', logins: 3, last: 'minute 2' }]);
  },
);

t.test('given learn_first, when a user without any record logs in, then it is learned; a second source is reported', async (t) => {
  const { state } = run(
    createState(),
    [
      [0, 'Accepted password for ada from 203.0.113.9 port 5 ssh2'],
      [1, 'Accepted password for ada from 203.0.113.10 port 5 ssh2'],
    ],
    { learn_first: true },
  );
  t.same(titles(state), ['SSH login: ada from 203.0.113.10 (new source)']);
});

t.test('given more users than are kept, when they log in, then the one longest ago is let go', async (t) => {
  let state = createState();
  for (let n = 0; n <= stateLimits.users; n++) state = run(state, [[n, `Accepted password for u${n} from 203.0.113.9 port 5 ssh2`]]).state;
  t.equal(Object.keys(state.users).length, stateLimits.users);
  t.same(state.redo.evicted, ['user:u0']);
});

t.test(
  'given an attack from thousands of places, when it is counted, then the state stays under the cap and can be read back',
  async (t) => {
    let state = createState();
    for (let batch = 0; batch < 30; batch++) {
      state = run(
        state,
        times(200, (n) => [batch * 11, failed(`u${'\\303\\251'.repeat(50)}${n}`, `2001:db8:${batch}:${n + 1}::1`, 1000 + n)]),
        { failure_threshold: 2, count_invalid_users: true },
      ).state;
      state.pending = state.pending.map((alert) => ({ ...alert, text: alert.text.padEnd(1500, '.') }));
    }
    const text = writeState(state);
    t.ok(text.length <= stateLimits.chars, `${text.length}`);
    t.ok(parseState(text));
    t.ok(state.pending.length <= stateLimits.pending);
    t.ok(Object.keys(state.connections).length <= stateLimits.connections);
  },
);

t.test('given too many alerts wait, when one more comes, then one about a burst gives way, not one about a login', async (t) => {
  let state = run(createState(), [[0, 'Accepted password for ada from 203.0.113.9 port 5 ssh2']]).state;
  for (let n = 0; n < stateLimits.pending + 5; n++)
    state = run(
      state,
      times(10, () => [n, failed('invalid user x', `203.0.114.${n}`)]),
      { burst_alerts_per_hour: 1000 },
    ).state;
  t.equal(state.pending.length, stateLimits.pending);
  t.equal(state.pending[0]?.kind, 'login');
  t.equal(state.counters.alerts_dropped, 6);
});

t.test(
  'given names that objects have of their own, when they are used as labels and names, then they are names like any other',
  async (t) => {
    const batch: Batch = {
      ...toBatch([
        [0, failed('__proto__')],
        [0, failed('constructor')],
      ]),
      feed: '__proto__',
    };
    const { state } = decideAlerts(createState(), batch, readConfig({}));
    t.ok(hasBatch(state, '__proto__', batch.id));
    t.notOk(hasBatch(createState(), 'constructor', 'toString'));
    t.ok(parseState(writeState(state)));
  },
);

t.test('given a state, when a batch is decided, then the given state is left as it was', async (t) => {
  const before = run(
    createState(),
    times(9, (at) => [at, failed('root')]),
  ).state;
  const copy = structuredClone(before);
  run(before, [[9, failed('root')]]);
  t.same(before, copy);
});

for (const text of [
  '',
  'null',
  '[]',
  '7',
  '{}',
  '{"version":2}',
  '{"version":1,"sequence":1}',
  JSON.stringify({ ...createState(), users: [] }),
  JSON.stringify({ ...createState(), pending: {} }),
]) {
  t.test(`given ${text} in the store, when it is read as the state, then it is none`, async (t) => {
    t.equal(parseState(text), null);
  });
}
