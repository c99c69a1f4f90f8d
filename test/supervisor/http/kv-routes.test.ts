import t from 'tap';
import { startApp } from './start-app.ts';

const entry = '/api/kv/default/colour';

t.test('given an entry, when it is stored, read, changed and deleted, then revisions guard each change', async (t) => {
  const app = await startApp(t);
  t.match(await app.ask('PUT', entry, { body: { value: 'green', if_revision: 0 } }), { status: 200, body: { revision: 1 } });
  t.match(await app.ask('GET', entry), { status: 200, body: { value: 'green', revision: 1 } });
  t.match(await app.ask('PUT', entry, { body: { value: 'blue', if_revision: 0 } }), {
    status: 409,
    body: { code: 'conflict', revision: 1 },
  });
  t.match(await app.ask('DELETE', `${entry}?if_revision=7`), { status: 409 });
  t.same((await app.ask('DELETE', `${entry}?if_revision=1`)).body, { deleted: true });
  t.match(await app.ask('GET', entry), { status: 404, body: { code: 'not-found' } });
});

t.test('given changes, when the audit is read, then each has a row with the token, and none has the value', async (t) => {
  const app = await startApp(t);
  await app.ask('PUT', '/api/kv/plugin:example.hello/colour', { body: { value: 'very-secret' } });
  await app.ask('PUT', '/api/kv/plugin:example.hello/colour', { body: { value: 'very-secret', if_revision: 9 } });
  await app.ask('DELETE', '/api/kv/plugin:example.hello/colour');
  const { body } = await app.ask('GET', '/api/audit?kind=kv.change&order=oldest');
  t.match(body, {
    rows: [
      {
        method: 'kv.put',
        plugin: 'example.hello',
        actor: app.admin.id,
        code: null,
        summary: '{"bucket":"plugin:example.hello","key":"colour"}',
      },
      { method: 'kv.put', code: 'conflict' },
      { method: 'kv.delete', code: null },
    ],
  });
  t.notMatch(JSON.stringify(body), 'very-secret');
});

t.test(
  'given a value as long as a plugin may store, when it is put back over HTTP, then it is taken; one character more is not',
  async (t) => {
    const app = await startApp(t);
    const longest = 'ü'.repeat(262_144);
    t.match(await app.ask('PUT', entry, { body: { value: longest } }), { status: 200 });
    t.match(await app.ask('PUT', entry, { body: { value: `${longest}ü` } }), { status: 400 });
    t.equal(((await app.ask('GET', entry)).body as { value: string }).value, longest);
  },
);

t.test('given many keys, when they are listed in pages, then all come once', async (t) => {
  const app = await startApp(t);
  const odd = ['a b', 'ä', '%2f', '..', 'a?b#c'];
  for (const key of odd)
    t.equal((await app.ask('PUT', `/api/kv/default/${encodeURIComponent(key)}`, { body: { value: key } })).status, 200, key);
  for (const key of odd) t.match((await app.ask('GET', `/api/kv/default/${encodeURIComponent(key)}`)).body, { value: key });
  const seen: string[] = [];
  for (let after = ''; ; ) {
    const { body } = await app.ask('GET', `/api/kv/default?limit=2${after}`);
    const page = body as { entries: { key: string }[]; next: string | null };
    seen.push(...page.entries.map(({ key }) => key));
    if (page.next === null) break;
    after = `&after=${encodeURIComponent(page.next)}`;
  }
  t.same(seen.sort(), odd.sort());
  t.match((await app.ask('GET', '/api/kv')).body, { buckets: [{ bucket: 'default', keys: 5 }] });
});

for (const [what, method, path, body] of [
  ['a bucket of odd form', 'GET', '/api/kv/Default/colour', undefined],
  ['a bucket of a plugin of odd form', 'GET', '/api/kv/plugin:../colour', undefined],
  ['a key with a control character', 'GET', '/api/kv/default/a%0ab', undefined],
  ['a value that is no text', 'PUT', entry, { value: 7 }],
  ['a value over its limit', 'PUT', entry, { value: 'ä'.repeat(262_145) }],
  ['a revision that is none', 'PUT', entry, { value: 'x', if_revision: -1 }],
  ['a limit beyond the most', 'GET', '/api/kv/default?limit=1001', undefined],
  ['a limit that is empty', 'GET', '/api/kv/default?limit=', undefined],
  ['a parameter twice', 'GET', '/api/kv/default?limit=1&limit=2', undefined],
  ['a parameter __proto__', 'GET', '/api/kv/default?__proto__=1', undefined],
] as const) {
  t.test(`given ${what}, when it is asked, then 400`, async (t) => {
    const app = await startApp(t);
    t.match(await app.ask(method, path, body === undefined ? {} : { body }), { status: 400, body: { code: 'invalid-params' } });
  });
}
