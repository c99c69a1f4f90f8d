import t from 'tap';
import { startApp } from './start-app.ts';

type Page = { rows: { seq: number; plugin: string | null }[]; next: number | null };

t.test('given rows, when they are read in pages, then newest first or oldest first, each once', async (t) => {
  const app = await startApp(t);
  for (let row = 0; row < 5; row++) await app.database.append({ kind: 'plugin.runtime', plugin: row % 2 ? 'a' : 'b' });
  for (const order of ['newest', 'oldest']) {
    const seen: number[] = [];
    for (let after = ''; ; ) {
      const { rows, next } = (await app.ask('GET', `/api/audit?kind=plugin.runtime&limit=2&order=${order}${after}`)).body as Page;
      seen.push(...rows.map(({ seq }) => seq));
      if (next === null) break;
      after = `&after=${next}`;
    }
    t.equal(new Set(seen).size, 5);
    t.same(
      seen,
      seen.toSorted((a, b) => (order === 'oldest' ? a - b : b - a)),
    );
  }
  const own = (await app.ask('GET', '/api/audit?plugin=a')).body as Page;
  t.same(
    own.rows.map(({ plugin }) => plugin),
    ['a', 'a'],
  );
});

t.test('given a time that is none, when rows since then are asked for, then 400', async (t) => {
  const app = await startApp(t);
  t.match(await app.ask('GET', '/api/audit?since=yesterday'), { status: 400, body: { code: 'invalid-params', pointer: '/since' } });
  t.match(await app.ask('GET', '/api/audit?since=2026-01-01&until=2100-01-01T00:00:00%2B02:00'), { status: 200 });
});

const byTerms: [string, number[]][] = [
  ['plugin:example.a', [2, 5]],
  ['plugin:example.a  verdict:deny', [5]],
  ['kind:host.decision method:kv.put code:rate-limited', [5]],
  ['rule:rate', [5]],
  ['request_id:example.b:1.1', [3]],
  ['actor:t-1 since:2020-01-01T00:00:00Z until:2100-01-01', [4, 5]],
  ['', [2, 3, 4, 5]],
];

t.test('given rows, when they are asked for by terms, then those that fit all of them answer, in pages as ever', async (t) => {
  const app = await startApp(t);
  await app.database.append({ kind: 'host.decision', plugin: 'example.a', method: 'kv.get', verdict: 'allow' });
  await app.database.append({ kind: 'host.decision', plugin: 'example.b', method: 'kv.put', verdict: 'deny', requestId: 'example.b:1.1' });
  await app.database.append({ kind: 'api.change', actor: 't-1' });
  const denied = { method: 'kv.put', verdict: 'deny', code: 'rate-limited', rule: 'rate', actor: 't-1' } as const;
  await app.database.append({ kind: 'host.decision', plugin: 'example.a', ...denied });
  const seqs = async (query: string) =>
    ((await app.ask('GET', `/api/audit?order=oldest&${query}`)).body as Page).rows.map(({ seq }) => seq);

  for (const [terms, expected] of byTerms)
    t.same(
      (await seqs(`q=${encodeURIComponent(terms)}`)).filter((seq) => seq > 1),
      expected,
      terms,
    );
  t.same(await seqs(`q=plugin:example.a&verdict=deny`), [5], 'beside a parameter');
  t.same(await seqs(`q=plugin:example.a&limit=1`), [2]);
  t.same(await seqs(`q=plugin:example.a&limit=1&after=2`), [5]);
});

const faulty = [
  ['q=deny', 'term-form', '/q'],
  ['q=verdict:', 'term-form', '/q'],
  ['q=:deny', 'term-form', '/q'],
  ['q=colour:red', 'term-unknown', '/q'],
  ['q=limit:5', 'term-unknown', '/q'],
  ['q=__proto__:x', 'term-unknown', '/q'],
  ['q=plugin:a+plugin:b', 'term-twice', '/q'],
  ['q=plugin:a&plugin=b', 'term-twice', '/q'],
  [`q=plugin:${'a'.repeat(3000)}`, 'query-too-long', '/q'],
  ['q=verdict:maybe', undefined, '/verdict'],
  ['q=kind:host.decisions', undefined, '/kind'],
  ['q=since:yesterday', undefined, '/since'],
  ['since=2026-11-23&until=2026-11-22', undefined, '/until'],
  ['q=since:2026-11-23+until:2026-11-23', undefined, '/until'],
] as const;

t.test('given queries that are none, when they are asked, then each gets 400 that names what is wrong with it', async (t) => {
  const app = await startApp(t);
  for (const [query, rule, pointer] of faulty) {
    const { status, body } = await app.ask('GET', `/api/audit?${query}`);
    t.match(
      { status, body },
      { status: 400, body: { code: 'invalid-params', pointer, hint: String, ...(rule ? { rule } : {}) } },
      query.slice(0, 40),
    );
  }
});

t.test('given a chain, when it is verified, then ok with its head; when a row was changed, then where', async (t) => {
  const app = await startApp(t);
  const { body: head } = await app.ask('GET', '/api/audit/head');
  t.match((await app.ask('GET', '/api/audit/verify')).body, { ok: true, head });
  await app.database.write(async (tx) => {
    await tx.run('DROP TRIGGER IF EXISTS audit_no_update');
    const triggers = await tx.all<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'");
    for (const { name } of triggers) await tx.run(`DROP TRIGGER ${name}`);
    await tx.run("UPDATE audit SET summary = 'x' WHERE seq = 1");
  });
  t.match(await app.ask('GET', '/api/audit/verify'), { status: 200, body: { ok: false, seq: 1 } });
});
