import t from 'tap';
import plugin from '../../../plugins/lattice.ssh-login-alert/plugin.ts';
import { HostError } from '../../../protocol/errors.ts';
import { createContext, createMemory, createMockHost, type Fault, type Sent } from './mock-host.ts';

const { ingest, status } = plugin.services.feed;
const line = (second: number, message: string) => `Jan  5 10:00:${String(second).padStart(2, '0')} web1 sshd[7]: ${message}`;
const accepted = (user: string, from: string) => line(1, `Accepted password for ${user} from ${from} port 5 ssh2`);
const failed = (second: number) => line(second, 'Failed password for root from 203.0.113.8 port 5 ssh2');

// A story with logins of several users, sources known and new, a burst over two batches, and a name that goes by its hash.
const story = [
  [accepted('ada', '203.0.113.1'), accepted('bob', '203.0.113.1'), failed(1), failed(2), failed(3)],
  [accepted('ada', '203.0.113.1'), accepted('ada', '203.0.113.2'), failed(4), failed(5), accepted('EX\\\\j doe', '203.0.113.3')],
  [accepted('bob', '203.0.113.1'), accepted('ada', '203.0.113.2'), accepted('EX\\\\j doe', '203.0.113.3')],
].map((lines, at) => ({ source: 'file:auth.log', lines, cursor: `batch-${at}` }));
const config = { failure_threshold: 5 };

/** Feeds the story as the feed does: a batch that was not answered comes again, to a new process. Returns what was sent and is known. */
async function play(crashAt: number, kind: Fault, again = 0): Promise<{ sent: Sent[]; calls: number; known: unknown; counters: unknown }> {
  const memory = createMemory();
  const sent: Sent[] = [];
  let calls = 0;
  const start = () => {
    const mock = createMockHost({
      memory,
      fault: () => {
        calls++;
        return calls === crashAt || (again > 0 && calls === crashAt + again)
          ? { kind, error: new HostError('plugin-crashed', 'the process is gone') }
          : undefined;
      },
    });
    return { mock, context: createContext(mock.host, config) };
  };
  let process = start();
  for (const batch of [...story, ...story.slice(-1), { ...(story[0] as (typeof story)[0]), lines: [] }]) {
    for (let tries = 0; ; tries++) {
      const callsBefore = calls;
      const answer = await ingest(batch, process.context).catch(() => null);
      const crashed = callsBefore < crashAt && calls >= crashAt;
      const crashedAgain = again > 0 && callsBefore < crashAt + again && calls >= crashAt + again;
      // An alert that was not taken is answered with `pending`: the process lives, but in this story it dies at every fault.
      if (crashed || crashedAgain) {
        sent.push(...process.mock.sent);
        process = start();
        continue;
      }
      if (answer !== null || tries > 5) break;
    }
  }
  sent.push(...process.mock.sent);
  const { counters, users } = await status({}, createContext(createMockHost({ memory }).host));
  const known = users.map(({ user, sources }) => [user, sources.map(({ source, logins }) => [source, logins]).sort()]).sort();
  return { sent, calls, known, counters };
}

const refs = (sent: readonly Sent[]) => sent.map(({ title, text }) => `${title} ${/Reference (\S+)\./.exec(text)?.[1]}`);

t.test(
  'given a crash at each host call in turn, before or after its effect, when the feed goes on, then nothing is lost and at most one alert comes twice',
  async (t) => {
    const whole = await play(0, 'refused');
    t.equal(whole.sent.length, 6, 'ada twice, bob, j doe, and the burst by source and by user');

    for (const kind of ['refused', 'lost'] as const) {
      for (let crashAt = 1; crashAt <= whole.calls; crashAt++) {
        const { sent, known, counters } = await play(crashAt, kind);
        const all = refs(sent);
        const what = `${kind} at call ${crashAt}`;
        t.same([...new Set(all)].sort(), refs(whole.sent).sort(), `${what}: the same alerts with the same references`);
        t.ok(all.length <= whole.sent.length + 1, `${what}: at most one is sent again`);
        t.same(known, whole.known, `${what}: the same is known of the users`);
        t.same(counters, whole.counters, `${what}: everything is counted once`);
      }
    }
  },
);

t.test('given two crashes close to each other, when the feed goes on, then still nothing is lost or counted twice', async (t) => {
  const whole = await play(0, 'refused');
  for (let crashAt = 1; crashAt <= whole.calls; crashAt += 2) {
    for (const again of [1, 2, 3, 5]) {
      const { sent, known, counters } = await play(crashAt, 'lost', again);
      t.same([...new Set(refs(sent))].sort(), refs(whole.sent).sort());
      t.same(known, whole.known);
      t.same(counters, whole.counters);
    }
  }
});
