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
