import t from 'tap';
import { contentTag, readConditions, requireHeld } from '../../../supervisor/http/conditions.ts';
import { startApp } from './start-app.ts';

const many = (count: number) => Array.from({ length: count }, (_, at) => `"${at}"`).join(',');
for (const [what, header, expected] of [
  ['one tag', '"a"', ['"a"']],
  ['a list with empty elements', ' , "a",, "b" ,', ['"a"', '"b"']],
  ['a tag with commas and blanks beyond ASCII', '"a,\u00e4!",W/"b"', ['"a,\u00e4!"', 'W/"b"']],
  ['any', ' * ', '*'],
  ['as many as there may be', many(64), { length: 64 }],
] as const) {
  t.test(`given a condition of ${what}, when it is read, then its tags are known`, async (t) => {
    t.match(readConditions({ 'if-match': header }), { match: expected, noneMatch: null });
    t.match(readConditions({ 'if-none-match': header }), { match: null, noneMatch: expected });
  });
}

const malformed = [
  ['nothing', ''],
  ['only commas', ' , ,'],
  ['no quotation marks', 'abc'],
  ['one quotation mark', '"abc'],
  ['a quotation mark inside', '"a"b"'],
  ['any among tags', '"a", *'],
  ['any twice', '*, *'],
  ['a weak mark in lower case', 'w/"a"'],
  ['a control character', '"a\tb"'],
  ['too many tags', many(65)],
  ['too many characters', `"${'a'.repeat(4096)}"`],
  ['what would be slow to read twice', `${' \t'.repeat(2000)}x`],
] as const;
for (const [what, header] of malformed) {
  t.test(`given a condition of ${what}, when it is read, then it is refused`, async (t) => {
    t.throws(() => readConditions({ 'if-match': header }), {
      code: 'invalid-params',
      details: { rule: 'malformed-condition', hint: String },
    });
    t.throws(() => readConditions({ 'if-none-match': header }), { code: 'invalid-params', details: { rule: 'malformed-condition' } });
  });
}

t.test('given conditions and what is there, when they are asked, then only what its sender means holds', async (t) => {
  const holds = (match: '*' | string[] | null, noneMatch: '*' | string[] | null, tags: string[]) => {
    try {
      requireHeld({ match, noneMatch }, tags);
      return true;
    } catch {
      return false;
    }
  };
  t.ok(holds(['"x"', '"a"'], null, ['"a"']));
  t.notOk(holds(['W/"a"'], null, ['"a"']), 'a weak tag is no ground for a change');
  t.notOk(holds(['"b"'], null, ['"a"']));
  t.notOk(holds(['"a"'], null, []));
  t.ok(holds('*', null, ['"a"']));
  t.notOk(holds('*', null, []));
  t.ok(holds(null, '*', []));
  t.notOk(holds(null, '*', ['"a"']));
  t.notOk(holds(null, ['W/"a"'], ['"a"']), 'here a weak tag counts');
  t.ok(holds(null, ['"b"'], ['"a"']));
  t.notOk(holds(['"a"'], ['"a"'], ['"a"']), 'both must hold');
});

const tagOf = (answer: { headers: Record<string, unknown> }) => String(answer.headers.etag);

for (const path of [
  '/api/plugins',
  '/api/plugins/example.hello',
  '/api/plugins/lifecycle',
  '/api/plugins/example.hello/config',
  '/api/tokens',
  '/api/plugin-trust',
  '/api/kv',
  '/api/kv/default',
  '/api/kv/default/colour',
]) {
  t.test(`given the answer of GET ${path}, when it is asked for again with its tag, then 304 says that nothing changed`, async (t) => {
    const app = await startApp(t);
    await app.ask('PUT', '/api/kv/default/colour', { body: { value: 'green' } });
    const first = await app.ask('GET', path);
    const tag = tagOf(first);

    t.match(tag, /^"[\w-]+"$/);
    for (const header of [tag, `W/${tag}`, `"other", ${tag}`, '*']) {
      const again = await app.ask('GET', path, { headers: { 'if-none-match': header } });
      t.match(again, { status: 304, text: '', headers: { etag: tag } }, header);
      t.notOk(again.headers['content-type']);
    }
    t.match(await app.ask('HEAD', path, { headers: { 'if-none-match': tag } }), { status: 304 });
    t.match(await app.ask('GET', path, { headers: { 'if-none-match': '"other"' } }), { status: 200, text: first.text });
    t.match(await app.ask('GET', path, { headers: { 'if-match': tag } }), { status: 200 });
    t.match(await app.ask('GET', path, { headers: { 'if-match': '"other"' } }), { status: 412 });
    t.match(await app.ask('GET', path, { headers: { 'if-none-match': 'garbage' } }), { status: 400 });
    t.equal((await app.ask('GET', path, { token: null, headers: { 'if-none-match': tag } })).status, 401, 'a tag is no key');
  });
}

t.test('given an entry, when it is changed under conditions, then they guard it like a revision', async (t) => {
  const app = await startApp(t);
  const path = '/api/kv/default/colour';
  const put = (value: string, headers: Record<string, string>) => app.ask('PUT', path, { body: { value }, headers });
  t.match(await put('green', { 'if-match': '*' }), { status: 412, body: { rule: 'if-match', etag: null } });
  const created = await put('green', { 'if-none-match': '*' });
  t.match(created, { status: 200, headers: { etag: '"1"' } });
  t.match(await put('blue', { 'if-none-match': '*' }), {
    status: 412,
    body: { code: 'changed-since-shown', rule: 'if-none-match', etag: '"1"', hint: String, error: { code: 'bad_request' } },
  });
  t.match(await put('blue', { 'if-match': '"7", "1"' }), { status: 200, headers: { etag: '"2"' } });
  t.match(await put('red', { 'if-match': tagOf(created) }), { status: 412, body: { etag: '"2"' } });
  t.match(await put('red', { 'if-match': 'W/"2"' }), { status: 412 });
  t.match(await app.ask('DELETE', path, { headers: { 'if-match': '"1"' } }), { status: 412 });
  t.match(await app.ask('GET', path), { body: { value: 'blue', revision: 2 }, headers: { etag: '"2"' } });
  t.match(await app.ask('DELETE', path, { headers: { 'if-match': '"2"' } }), { status: 200, body: { deleted: true } });
  t.match(await app.ask('DELETE', path, { headers: { 'if-match': '*' } }), { status: 412 });
  t.match(await put('green', { 'if-none-match': '*' }), { headers: { etag: '"3"' } }, 'a number is never used twice');
  const codes = (await app.ask('GET', '/api/audit?kind=kv.change&order=oldest')).body as { rows: { code: string | null }[] };
  t.same(
    codes.rows.map(({ code }) => code === null),
    [false, true, false, true, false, false, false, true, false, true],
    'a refusal has its row',
  );
});

t.test('given many who change one entry that they all saw, when they race, then one wins and the others are told', async (t) => {
  const app = await startApp(t);
  const seen = tagOf(await app.ask('PUT', '/api/kv/default/colour', { body: { value: '0' } }));
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, at) =>
      app.ask('PUT', '/api/kv/default/colour', { body: { value: `${at}` }, headers: { 'if-match': seen } }),
    ),
  );
  t.same(answers.map(({ status }) => status).sort(), [200, ...Array.from({ length: 19 }, () => 412)]);
  t.match((await app.ask('GET', '/api/kv/default/colour')).body, {
    value: `${answers.findIndex(({ status }) => status === 200)}`,
    revision: 2,
  });
});

t.test('given the list of tokens, when tokens are made and revoked under conditions, then who saw an older list is refused', async (t) => {
  const app = await startApp(t);
  const body = { name: 'new', scopes: ['plugin:call'] };
  const seen = tagOf(await app.ask('GET', '/api/tokens'));
  const first = await app.ask('POST', '/api/tokens', { body, headers: { 'if-match': seen } });
  t.equal(first.status, 201);
  t.match(await app.ask('POST', '/api/tokens', { body, headers: { 'if-match': seen } }), { status: 412 });
  const { id } = first.body as { id: string };
  t.match(await app.ask('DELETE', `/api/tokens/${id}`, { headers: { 'if-match': seen } }), { status: 412 });
  const now = await app.ask('GET', '/api/tokens');
  t.match(now.body, { tokens: [{}, { id, revoked_at: null }] });
  t.match(await app.ask('DELETE', `/api/tokens/${id}`, { headers: { 'if-match': tagOf(now) } }), { status: 200 });
});

t.test('given several headers of one name, when a request has them, then they count as one list', async (t) => {
  const app = await startApp(t);
  const tag = tagOf(await app.ask('PUT', '/api/kv/default/colour', { body: { value: 'green' } }));
  const sent = await app.askRaw('PUT', '/api/kv/default/colour', '{"value":"blue"}', ['if-match: "x"', `if-match: ${tag}`]);
  t.match(sent, /^HTTP\/1.1 200/);
  t.match(await app.askRaw('PUT', '/api/kv/default/colour', '{"value":"red"}', ['if-match: *', 'if-match: *']), /^HTTP\/1.1 400/);
  t.match((await app.ask('GET', '/api/kv/default/colour')).body, { value: 'blue' });
});

t.test('given something shown, when one letter of it is another, then its tag is another', async (t) => {
  t.equal(contentTag({ a: 1 }), contentTag({ a: 1 }));
  t.not(contentTag({ a: 1 }), contentTag({ a: 2 }));
  t.equal(contentTag(undefined), contentTag(null));
});
