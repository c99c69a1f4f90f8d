import t from 'tap';
import plugin from '../../../plugins/lattice.ssh-login-alert/plugin.ts';
import { HostError } from '../../../protocol/errors.ts';
import { createContext, createMemory, createMockHost } from './mock-host.ts';

const { ingest, status } = plugin.services.feed;
const at = (second: number) =>
  `2026-01-05T10:${String(Math.floor(second / 60)).padStart(2, '0')}:${String(second % 60).padStart(2, '0')}Z web1 sshd[7]: `;
const accepted = (user: string, from: string, second = 0) =>
  `${at(second)}Accepted publickey for ${user} from ${from} port 5 ssh2: ED25519 SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8`;
const failed = (user: string, from: string, second = 0) => `${at(second)}Failed password for ${user} from ${from} port 5 ssh2`;
let cursors = 0;
const batch = (...lines: string[]) => ({ source: 'file:auth.log', lines, cursor: `c${cursors++}` });

t.test('given lines of every kind, when they are fed, then each is counted once and the alert is sent', async (t) => {
  const { host, sent } = createMockHost();

  const answer = await ingest(
    batch(
      accepted('ada', '203.0.113.9'),
      failed('root', '203.0.113.8'),
      `${at(0)}Server listening on :: port 22.`,
      `${at(0)}something new`,
      '2026-01-05T10:00:00Z web1 cron[1]: x',
      'junk',
    ),
    createContext(host),
  );

  t.same(answer, {
    lines: 6,
    understood: 3,
    not_understood: 2,
    other_programs: 1,
    not_believed: 0,
    repeated: false,
    logins: 1,
    failures: 1,
    alerts: 1,
    pending: 0,
  });
  t.match(sent, [{ channel: 'ops', title: 'SSH login: ada from 203.0.113.9 (new source)', severity: 'warning' }]);
});

t.test('given a known source, when the user logs in again, also in a new process, then there is no alert', async (t) => {
  const memory = createMemory();
  await ingest(batch(accepted('ada', '2001:db8::1')), createContext(createMockHost({ memory }).host));
  const second = createMockHost({ memory });

  await ingest(batch(accepted('ada', '2001:db8::2', 60)), createContext(second.host));

  t.same(second.sent, []);
});

t.test('given a user with as many sources as are kept, when a new one comes, then the one used longest ago is new again', async (t) => {
  const { host, sent } = createMockHost();
  const context = createContext(host, { sources_per_user: 2 });
  for (const from of ['203.0.113.1', '203.0.113.2', '203.0.113.1', '203.0.113.3', '203.0.113.1', '203.0.113.2'])
    await ingest(batch(accepted('ada', from)), context);

  t.same(
    sent.map(({ title }) => title.replace(/.*from (\S+) .*/, '$1')),
    ['203.0.113.1', '203.0.113.2', '203.0.113.3', '203.0.113.2'],
  );
});

t.test('given names that keys may not hold, when they log in, then each is remembered on its own', async (t) => {
  const { host, memory, sent } = createMockHost();
  for (const user of ['EX\\\\john doe', 'EX\\\\john_doe', 'a/b', '-', '..', `${'n'.repeat(300)}`])
    await ingest(batch(accepted(user, '203.0.113.9'), accepted(user, '203.0.113.9')), createContext(host));

  t.equal(sent.length, 6);
  t.equal([...memory.entries.keys()].filter((key) => key.startsWith('user')).length, 6);
});

t.test('given a batch that comes again, when it is fed, then nothing is counted or sent twice', async (t) => {
  const { host, sent } = createMockHost();
  const same = batch(accepted('ada', '203.0.113.9'), ...Array.from({ length: 10 }, (_, n) => failed('root', '203.0.113.8', n)));
  await ingest(same, createContext(host));

  const again = await ingest(same, createContext(host));

  t.match(again, { repeated: true, logins: 0, failures: 0, alerts: 0 });
  t.equal(sent.length, 3);
  t.match(await status({}, createContext(host)), { counters: { lines: 11, logins: 1, failures: 10, alerts: 3 } });
});

for (const code of ['not-found', 'forbidden'] as const) {
  t.test(
    `given a channel that answers ${code}, when alerts come, then it is told once and they wait until the channel is there`,
    async (t) => {
      let open = false;
      const { host, sent, logged } = createMockHost({
        fault: (method) => (method === 'notify.send' && !open ? { kind: 'refused', error: new HostError(code, 'no') } : undefined),
      });
      t.match(await ingest(batch(accepted('ada', '203.0.113.1')), createContext(host)), { pending: 1 });
      t.match(await ingest(batch(accepted('bob', '203.0.113.1')), createContext(host)), { pending: 2 });
      t.equal(logged.length, 1);
      open = true;

      t.match(await ingest(batch(), createContext(host)), { pending: 0 });

      t.same(
        sent.map(({ title }) => title),
        ['SSH login: ada from 203.0.113.1 (new source)', 'SSH login: bob from 203.0.113.1 (new source)'],
      );
    },
  );
}

t.test('given a host that takes only some messages a second, when more are pending, then the rest waits for the next call', async (t) => {
  let tokens = 3;
  const { host, sent } = createMockHost({
    fault: (method) =>
      method === 'notify.send' && tokens-- <= 0 ? { kind: 'refused', error: new HostError('rate-limited', 'slower') } : undefined,
  });

  t.match(await ingest(batch(...['a', 'b', 'c', 'd', 'e'].map((user) => accepted(user, '203.0.113.1'))), createContext(host)), {
    alerts: 5,
    pending: 2,
  });
  tokens = 10;
  t.match(await ingest({ source: 'file:auth.log', lines: [], cursor: 'c-nudge' }, createContext(host)), { pending: 0 });

  t.equal(sent.length, 5);
});

t.test('given an alert that the host refuses for good, when it is sent, then it is dropped and the next one goes', async (t) => {
  let first = true;
  const { host, sent, logged } = createMockHost({
    fault(method) {
      if (method !== 'notify.send' || !first) return undefined;
      first = false;
      return { kind: 'refused', error: new HostError('invalid-params', 'no') };
    },
  });
  await ingest(batch(accepted('ada', '203.0.113.1'), accepted('bob', '203.0.113.1')), createContext(host));
  t.same(
    sent.map(({ title }) => title),
    ['SSH login: bob from 203.0.113.1 (new source)'],
  );
  t.match(logged, [{ level: 'error' }]);
});

t.test('given calls at once and another process that changes the state between, when batches are fed, then each counts once', async (t) => {
  const memory = createMemory();
  let conflicts = 0;
  let puts = 0;
  const fault = (method: string) => {
    if (method !== 'kv.put' || puts++ % 3 !== 0) return undefined;
    conflicts++;
    const state = memory.entries.get('state');
    if (state) memory.entries.set('state', { ...state, revision: memory.next++ }); // somebody stored the same once more
    return { kind: 'refused' as const, error: new HostError('conflict', 'changed meanwhile') };
  };
  const one = createContext(createMockHost({ memory, fault }).host);
  await Promise.all(
    Array.from({ length: 20 }, (_, n) => ingest(batch(failed('root', `203.0.113.${n}`), accepted(`u${n}`, '203.0.113.9')), one)),
  );

  t.ok(conflicts > 0);
  t.match(await status({}, one), { counters: { lines: 40, failures: 20, logins: 20, alerts: 21 }, known_users: 20, pending: [] });
});

t.test('given a store that fails, when a batch is fed, then its error reaches the feed by its own word', async (t) => {
  for (const code of ['rate-limited', 'storage-unavailable', 'quota-exceeded'] as const) {
    const { host } = createMockHost({
      fault: (method) => (method === 'kv.put' ? { kind: 'refused', error: new HostError(code, 'no') } : undefined),
    });
    await t.rejects(ingest(batch(accepted('ada', '203.0.113.1')), createContext(host)), { code });
  }
});

t.test('given a stored state that cannot be read, when a batch is fed, then the plugin says so and begins anew', async (t) => {
  const memory = createMemory();
  memory.entries.set('state', { value: '{"version":', revision: memory.next++ });
  const { host, logged, sent } = createMockHost({ memory });

  await ingest(batch(accepted('ada', '203.0.113.1')), createContext(host));

  t.match(logged, [{ level: 'error' }]);
  t.equal(sent.length, 1);
});

t.test('given users with logins, when the status is asked, then it lists them, the latest first', async (t) => {
  const { host } = createMockHost();
  await ingest(batch(accepted('ada', '203.0.113.1'), accepted('bob', '203.0.113.2', 5)), createContext(host));

  const answer = await status({ users: 1 }, createContext(host));

  t.same(answer.users, [{ user: 'bob', sources: [{ source: '203.0.113.2', logins: 1, last: '2026-01-05T10:00:05Z' }] }]);
  t.equal(answer.known_users, 2);
});

for (const payload of [
  null,
  7,
  [],
  {},
  { source: 'x', lines: [] },
  { source: '', lines: [], cursor: 'c' },
  { source: 'x', lines: 'y', cursor: 'c' },
  { source: 'x', lines: [1], cursor: 'c' },
  { source: 'x', lines: Array(2001).fill(''), cursor: 'c' },
  { source: 'x', lines: ['y'.repeat(65_537)], cursor: 'c' },
]) {
  t.test(`given the payload ${JSON.stringify(payload).slice(0, 60)}, when it is fed, then it is refused`, async (t) => {
    await t.rejects(ingest(payload, createContext(createMockHost().host)), { code: 'invalid-params' });
  });
}

t.test('given a wrong setting, when the plugin starts, then it refuses', async (t) => {
  t.throws(() => plugin.onStart({ config: { threshold: 3 } }), { code: 'invalid-params' });
});
