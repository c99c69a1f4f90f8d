import t, { type Test } from 'tap';
import { hostMethods, type Params } from '../../../protocol/host-methods.ts';
import { createNotifySend } from '../../../supervisor/host/notify.ts';
import { parseChannels } from '../../../supervisor/notify/channels.ts';
import { createOutbox } from '../../../supervisor/notify/outbox.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { createHostCall } from '../../support/host-call.ts';
import { openTempDatabase } from '../../support/temp-database.ts';

const channels = parseChannels(
  Buffer.from(
    JSON.stringify({ channels: { ops: { type: 'log', plugins: ['example.test'] }, closed: { type: 'log', plugins: ['example.other'] } } }),
  ),
);

async function setUp(t: Test) {
  const database = await openTempDatabase(t);
  let woken = 0;
  const outbox = createOutbox({ clock: createFakeClock(1000), waitingPerPlugin: 3 });
  const notifySend = createNotifySend({ channels, outbox, database, onQueued: () => woken++ });
  const { params, result } = hostMethods['notify.send'];
  const send = async (given: Params<'notify.send'>, pluginId = 'example.test') =>
    result.parse(await notifySend(params.parse(given), createHostCall('notify.send', { pluginId })));
  const audited = () => database.read.all('SELECT verdict, code, rule FROM audit WHERE method = ? ORDER BY seq', ['notify.send']);
  return { database, send, audited, woken: () => woken };
}

t.test('given an open channel, when a plugin sends, then message and audit row are committed and the delivery is woken', async (t) => {
  const { database, send, audited, woken } = await setUp(t);

  const { id } = await send({ channel: 'ops', title: 'Disk is filling', text: '91 %', severity: 'critical' });

  t.same(await database.read.all('SELECT * FROM outbox'), [
    {
      id,
      plugin: 'example.test',
      channel: 'ops',
      title: 'Disk is filling',
      text: '91 %',
      severity: 'critical',
      created_ms: 1000,
      attempts: 0,
      next_ms: 1000,
      state: 'waiting',
      last_error: null,
    },
  ]);
  t.match(await audited(), [{ verdict: 'allow' }]);
  t.equal(woken(), 1);
});

const refused: [string, string, string][] = [
  ['missing', 'not-found', 'channel-unknown'],
  ['closed', 'forbidden', 'channel-not-open'],
];
for (const [channel, code, rule] of refused) {
  t.test(`given the channel ${channel}, when a plugin sends, then it is ${code}, audited, and nothing is queued`, async (t) => {
    const { database, send, audited, woken } = await setUp(t);

    await t.rejects(send({ channel, title: 'x' }), { code, details: { rule, channel, hint: /LATTICE_NOTIFY_CHANNELS/ } });

    t.match(await audited(), [{ verdict: 'deny', code, rule }]);
    t.same(await database.read.all('SELECT id FROM outbox'), []);
    t.equal(woken(), 0);
  });
}

t.test(
  'given as many waiting as a plugin may have, when it sends once more, then it is quota-exceeded and audited, and others may go on',
  async (t) => {
    const { send, audited } = await setUp(t);
    for (let sent = 0; sent < 3; sent++) await send({ channel: 'ops', title: 'x' });

    await t.rejects(send({ channel: 'ops', title: 'x' }), { code: 'quota-exceeded', details: { rule: 'outbox-full' } });
    await t.rejects(send({ channel: 'ops', title: 'x' }, 'example.other'), { code: 'forbidden' });
    await send({ channel: 'closed', title: 'x' }, 'example.other');

    t.match((await audited())[3], { verdict: 'deny', code: 'quota-exceeded', rule: 'outbox-full' });
  },
);

t.test('given sends at the same time, when they share a commit, then the quota still holds', async (t) => {
  const { database, send } = await setUp(t);

  const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => send({ channel: 'ops', title: 'x' })));

  t.equal(outcomes.filter((outcome) => outcome.status === 'fulfilled').length, 3);
  t.equal((await database.read.all('SELECT id FROM outbox')).length, 3);
});
