import t from 'tap';
import { createRepeatedRequests, keptMs, keptOfToken } from '../../supervisor/repeated-requests.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { openTempDatabase } from '../support/temp-database.ts';

const answer = { status: 200, etag: null, body: '{}' };
const ask = (key: string, token = 't-1') => ({ token, key, request: 'x' });

async function open(t: Parameters<typeof openTempDatabase>[0]) {
  const database = await openTempDatabase(t);
  const clock = createFakeClock();
  const create = () => createRepeatedRequests({ database, clock });
  const repeated = create();
  const done = async (key: string, token?: string) => {
    const { id, known } = await repeated.begin(ask(key, token), true);
    if (known.state === 'new') await repeated.conclude(id, answer, true);
    repeated.end(id);
    return known.state;
  };
  const count = async () => (await database.read.get<{ n: number }>('SELECT count(*) AS n FROM idempotency_keys'))?.n;
  return { database, clock, create, repeated, done, count };
}

t.test('given answers that are kept, when a day has passed, then they are gone, and not before', async (t) => {
  const { clock, done, count } = await open(t);
  t.equal(await done('a'), 'new');
  await clock.advance(keptMs - 1);
  t.equal(await done('a'), 'answered');
  await clock.advance(2);
  t.equal(await done('a'), 'new');
  t.equal(await count(), 1);
});

t.test('given answers that are kept, when the wall clock jumps by a year, then they are kept as long as ever', async (t) => {
  const { clock, done } = await open(t);
  await done('a');
  clock.setWall(clock.wallMs() + 365 * keptMs);
  t.equal(await done('a'), 'answered');
  clock.setWall(clock.wallMs() - 730 * keptMs);
  t.equal(await done('a'), 'answered');
});

t.test('given a token with as many keys as are kept, when it sends another, then its oldest goes, and no other token’s', async (t) => {
  const { database, clock, done, count } = await open(t);
  await done('other', 't-2');
  await database.write(async (tx) => {
    for (let at = 0; at < keptOfToken; at++)
      await tx.run("INSERT INTO idempotency_keys (id, token, fingerprint, state, begun_ms) VALUES (?, 't-1', '', 'answered', ?)", [
        `id-${at}`,
        clock.wallMs() + at,
      ]);
  });
  await clock.advance(keptOfToken);
  t.equal(await done('new'), 'new');
  t.equal(await count(), keptOfToken + 1);
  t.equal(await done('other', 't-2'), 'answered');
  t.match(await database.read.get("SELECT min(begun_ms) AS oldest FROM idempotency_keys WHERE token = 't-1'"), {
    oldest: clock.wallMs() - keptOfToken + 1,
  });
});

t.test('given a change whose commit fails, when its answer is concluded, then the key is new again', async (t) => {
  const { database, repeated } = await open(t);
  const { id } = await repeated.begin(ask('a'), true);
  const failing = database.write(async (tx) => {
    await repeated.settle(tx, id, answer);
    throw new Error('not this time');
  });
  await t.rejects(failing);
  await repeated.conclude(id, { ...answer, status: 503 }, false);
  repeated.end(id);
  t.match(await repeated.begin(ask('a'), true), { known: { state: 'new' } });
});

t.test('given a change that was made, when its arming failed, then the failure is the answer', async (t) => {
  const { database, repeated } = await open(t);
  const { id } = await repeated.begin(ask('a'), true);
  await database.write((tx) => repeated.settle(tx, id, null));
  await repeated.conclude(id, { ...answer, status: 503 }, false);
  repeated.end(id);
  t.match(await repeated.begin(ask('a'), true), { known: { state: 'answered', status: 503 } });
});

for (const [what, mayRepeat, isChanged, state] of [
  ['done again where that is safe', true, false, 'new'],
  ['not known elsewhere', false, false, 'cut-off'],
  ['known to be made when it is noted', true, true, 'changed'],
] as const) {
  t.test(`given a request that a crash cut off, when it comes to the next service, then it is ${what}`, async (t) => {
    const { database, create, repeated } = await open(t);
    const { id } = await repeated.begin(ask('a'), mayRepeat);
    if (isChanged) await database.write((tx) => repeated.settle(tx, id, null));
    t.match(await repeated.begin(ask('a'), mayRepeat), { known: { state: 'running' } });
    t.match(await create().begin(ask('a'), mayRepeat), { known: { state } });
  });
}
