import t from 'tap';
import type { AuditEntry, AuditRow } from '../../supervisor/audit.ts';
import { verifyChain } from '../../supervisor/audit-chain.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { openTempDatabase } from '../support/temp-database.ts';

const oddTexts = {
  'a surrogate without its partner': '\ud800',
  'another one between letters': 'a\udc00b',
  'a NUL': 'nul\0nul',
  'line separators, quotes and backslashes': '\u2028 "quoted" \\ back',
  'control characters': '\u001f\b\t\n',
  'more emoji than a column takes': '😀'.repeat(200),
  'more letters of two bytes than a column takes': 'é'.repeat(300),
  'nothing but spaces': '   ',
};

for (const [name, text] of Object.entries(oddTexts)) {
  t.test(`given a text of ${name}, when it stands in every column, then the chain is whole`, async (t) => {
    const database = await openTempDatabase(t);
    const entry: AuditEntry = { kind: 'host.decision', plugin: text, actor: text, method: text, code: text, rule: text, requestId: text };

    await database.append({ ...entry, summary: JSON.stringify(text) });
    await database.append({ ...entry, summary: text });

    t.match(await verifyChain(database.read, database.head()), { ok: true, rows: 2 });
  });
}

t.test('given an entry with every field, when it is appended, then each stands in its column', async (t) => {
  const clock = createFakeClock(Date.UTC(2026, 1, 3, 4, 5, 6, 7));
  const database = await openTempDatabase(t, clock);

  await database.append({
    kind: 'host.decision',
    plugin: 'example.hello',
    generation: 3,
    actor: 't-1',
    method: 'kv.get',
    verdict: 'deny',
    code: 'capability-denied',
    rule: 'capability-not-granted',
    requestId: 'example.hello:3.1',
    summary: '{"key":"a"}',
  });

  t.match(await database.read.get<AuditRow>('SELECT * FROM audit'), {
    seq: 1,
    time: '2026-02-03T04:05:06.007Z',
    kind: 'host.decision',
    plugin: 'example.hello',
    generation: 3,
    actor: 't-1',
    method: 'kv.get',
    verdict: 'deny',
    code: 'capability-denied',
    rule: 'capability-not-granted',
    request_id: 'example.hello:3.1',
    summary: '{"key":"a"}',
    hash: database.head().hash,
  });
});

t.test('given an entry with nothing but its kind, when it is appended, then the rest is null', async (t) => {
  const database = await openTempDatabase(t);

  await database.append({ kind: 'service.start', plugin: null, generation: Number.NaN, code: '' });

  const { seq: _seq, time: _time, hash: _hash, ...rest } = (await database.read.get('SELECT * FROM audit')) ?? {};
  t.same(rest, {
    kind: 'service.start',
    plugin: null,
    generation: null,
    actor: null,
    method: null,
    verdict: null,
    code: null,
    rule: null,
    request_id: null,
    summary: '{}',
  });
});

t.test('given a method of a megabyte and a summary over its limit, when they are appended, then the row stays small', async (t) => {
  const database = await openTempDatabase(t);

  await database.append({ kind: 'host.decision', method: 'm'.repeat(1_000_000), summary: JSON.stringify('s'.repeat(3000)) });

  const row = await database.read.get<AuditRow>('SELECT * FROM audit');
  t.equal(row?.method?.length, 256);
  t.match(JSON.parse(row?.summary ?? ''), { left_out: String });
});

t.test(
  'given rows of many plugins in turns in one commit, when they are read, then each has its own columns, in their order',
  async (t) => {
    const database = await openTempDatabase(t);
    const entries: AuditEntry[] = Array.from({ length: 1500 }, (_, at) => ({
      kind: at % 7 === 0 ? 'host.outcome' : 'host.decision',
      plugin: at % 5 === 0 ? null : `example.p${at % 5}`,
      generation: at % 3,
      method: at % 2 === 0 ? 'kv.get' : 'kv.list',
      actor: at % 11 === 0 ? 't-1' : null,
      requestId: `r-${at}`,
    }));

    await Promise.all(entries.map((entry) => database.append(entry)));

    const rows = await database.read.all<AuditRow>('SELECT * FROM audit ORDER BY seq');
    t.same(
      rows.map(({ kind, plugin, generation, method, actor, request_id }) => ({
        kind,
        plugin,
        generation,
        method,
        actor,
        requestId: request_id,
      })),
      entries,
    );
    t.match(await verifyChain(database.read, database.head()), { ok: true, rows: 1500 });
  },
);

t.test('given names that are clipped to the same, when their rows differ otherwise, then none takes the columns of another', async (t) => {
  const database = await openTempDatabase(t);
  const long = 'x'.repeat(256);

  for (const plugin of [`${long}y`, long, `${long}z`])
    for (const method of [long, `${long}y`])
      void database.append({ kind: 'host.decision', plugin, method, rule: method === long ? 'a' : 'b' });
  await database.append({ kind: 'service.stop' });

  const rows = await database.read.all<AuditRow>("SELECT * FROM audit WHERE kind = 'host.decision' ORDER BY seq");
  t.same(
    rows.map(({ rule }) => rule),
    ['a', 'b', 'a', 'b', 'a', 'b'],
  );
  t.ok(rows.every(({ plugin, method }) => plugin === long && method === long));
});

t.test('given a wall clock that is set back, when rows are appended, then they keep their order', async (t) => {
  const clock = createFakeClock();
  const database = await openTempDatabase(t, clock);
  await database.append({ kind: 'service.start' });
  clock.setWall(0);
  await database.append({ kind: 'service.stop' });

  const rows = await database.read.all<AuditRow>('SELECT * FROM audit ORDER BY seq');

  t.same(
    rows.map((row) => row.time),
    ['2026-01-01T00:00:00.000Z', '1970-01-01T00:00:00.000Z'],
  );
  t.match(await verifyChain(database.read, database.head()), { ok: true });
});
