import { hash } from 'node:crypto';
import t from 'tap';
import { HostError } from '../../../protocol/errors.ts';
import { createRealClock } from '../../../supervisor/clock.ts';
import { createRepeatedRequests, keptBodyBytes } from '../../../supervisor/repeated-requests.ts';
import { testFolder } from '../../support/test-folder.ts';
import { startApp } from './start-app.ts';

const entry = '/api/kv/default/colour';
const keyed = (key: string, more: Record<string, string> = {}) => ({ 'idempotency-key': key, ...more });
const replayed = { headers: { 'idempotent-replayed': 'true' } };
type App = Awaited<ReturnType<typeof startApp>>;
const keysOf = (app: App) => app.database.read.all<Record<string, unknown>>('SELECT * FROM idempotency_keys ORDER BY begun_ms');
const stepOf = async (app: App) => ({
  kv: await app.kv.get('default', 'colour'),
  tokens: (await app.tokens.list()).length,
  calls: app.state.calls.length,
});

t.test('given a change with a key, when it is sent again, then it has the same answer and nothing is done', async (t) => {
  const app = await startApp(t);
  const body = { value: 'green' };
  const first = await app.ask('PUT', entry, { body, headers: keyed('"k-1"', { 'if-none-match': '*' }) });
  t.match(first, { status: 200, headers: { etag: '"1"', 'idempotent-replayed': undefined }, body: { revision: 1 } });

  const again = await app.ask('PUT', entry, { raw: '{ "value": "green" }', headers: keyed('k-1', { 'if-none-match': '*' }) });

  t.match(again, { status: 200, text: first.text, headers: { etag: '"1"', ...replayed.headers } }, 'its condition is not asked again');
  t.match((await app.ask('PUT', entry, { body })).body, { revision: 2 }, 'without a key it is done again');
  const { body: audit } = await app.ask('GET', '/api/audit?kind=kv.change');
  t.equal((audit as { rows: unknown[] }).rows.length, 2);
});

for (const [what, method, path, more] of [
  ['another body', 'PUT', entry, { body: { value: 'blue' } }],
  ['another path', 'PUT', '/api/kv/default/other', { body: { value: 'green' } }],
  ['another method', 'DELETE', entry, {}],
  ['a query', 'DELETE', `${entry}?if_revision=1`, {}],
  ['a condition', 'PUT', entry, { body: { value: 'green' }, headers: { 'if-match': '*' } }],
] as const) {
  t.test(`given a key that was used, when it comes with ${what}, then 422 and nothing is done`, async (t) => {
    const app = await startApp(t);
    await app.ask('PUT', entry, { body: { value: 'green' }, headers: keyed('k') });
    const answer = await app.ask(method, path, { ...more, headers: keyed('k', 'headers' in more ? more.headers : {}) });
    t.match(answer, { status: 422, body: { code: 'invalid-params', rule: 'idempotency-key-reused', hint: String } });
    t.match((await app.ask('GET', entry)).body, { value: 'green', revision: 1 });
  });
}

t.test('given two tokens, when both use one key, then each has its own request', async (t) => {
  const app = await startApp(t);
  const { token } = await app.makeToken(['kv:admin']);
  await app.ask('PUT', entry, { body: { value: 'green' }, headers: keyed('k') });
  t.match(await app.ask('PUT', entry, { body: { value: 'blue' }, headers: keyed('k'), token }), { status: 200, body: { revision: 2 } });
});

t.test('given a request under way, when it is sent again, then 409 says to wait, and later its answer comes', async (t) => {
  const app = await startApp(t);
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const begun = Promise.withResolvers<void>();
  app.state.answerCall = () => {
    begun.resolve();
    return promise;
  };
  const call = () =>
    app.ask('POST', '/api/plugins/example.hello/call', {
      body: { service: 's', method: 'm' },
      headers: keyed('k', { accept: 'text/event-stream' }),
    });
  const first = call();
  await begun.promise;

  t.match(await call(), { status: 409, headers: { 'retry-after': '1' }, body: { rule: 'idempotency-key-in-use', retry_after_ms: 1000 } });
  resolve({ sum: 3 });

  t.match(await first, { status: 200, body: { sum: 3 } });
  t.match(await call(), { status: 200, body: { sum: 3 }, ...replayed });
  t.equal(app.state.calls.length, 1);
});

t.test('given many who send one request at once, when all are answered, then it was done once', async (t) => {
  const app = await startApp(t);
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => app.ask('PUT', entry, { body: { value: 'green' }, headers: keyed('k') })),
  );
  t.match((await app.ask('GET', entry)).body, { revision: 1 });
  for (const { status, body } of answers) t.match({ status, body }, status === 200 ? { body: { revision: 1 } } : { status: 409 });
  t.ok(answers.some(({ status }) => status === 200));
});

t.test('given a client that goes away, when its call has a key, then the call goes on and the answer waits', async (t) => {
  const app = await startApp(t);
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const begun = Promise.withResolvers<AbortSignal>();
  app.state.answerCall = (call) => {
    begun.resolve(call.signal);
    return promise;
  };
  const text = '{"service":"s","method":"m"}';
  const socket = await app.dial();
  socket.write(
    `POST /api/plugins/example.hello/call HTTP/1.1\r\nhost: ${new URL(app.url).host}\r\nauthorization: Bearer ${app.admin.token}\r\n` +
      `idempotency-key: k\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`,
  );
  const signal = await begun.promise;
  socket.destroy();
  await app.ask('GET', '/healthz'); // the service has seen the end
  t.notOk(signal.aborted);
  resolve({ sum: 3 });
  let answer = await app.ask('POST', '/api/plugins/example.hello/call', { raw: text, headers: keyed('k') });
  while (answer.status === 409) answer = await app.ask('POST', '/api/plugins/example.hello/call', { raw: text, headers: keyed('k') });
  t.match(answer, { status: 200, body: { sum: 3 }, ...replayed });
});

t.test('given a service that was started anew, when a request comes again, then it has the answer from before', async (t) => {
  const dataDir = testFolder(t);
  const before = await startApp(t, { dataDir });
  const first = await before.ask('PUT', entry, { body: { value: 'green' }, headers: keyed('k') });
  const { token } = before.admin;
  await before.stop();
  const app = await startApp(t, { dataDir });
  t.match(await app.ask('PUT', entry, { body: { value: 'green' }, headers: keyed('k'), token }), { text: first.text, ...replayed });
});

t.test('given a token made with a key, when the request comes again, then it has no text, and the database never had it', async (t) => {
  const app = await startApp(t);
  const body = { name: 'new', scopes: ['plugin:call'] };
  const first = await app.ask('POST', '/api/tokens', { body, headers: keyed('a-key-to-guess') });
  const { id, token } = first.body as { id: string; token: string };
  const again = await app.ask('POST', '/api/tokens', { body, headers: keyed('a-key-to-guess') });
  t.match(again, { status: 201, body: { id, token: null, name: 'new', hint: /revoke/ }, ...replayed });
  t.equal((await app.tokens.list()).length, 2);
  const kept = JSON.stringify(await keysOf(app));
  t.notMatch(kept, token);
  t.notMatch(kept, 'a-key-to-guess');
});

t.test('given a configuration stored with a key, when it comes again, then the database has it in one place only', async (t) => {
  const app = await startApp(t);
  const path = '/api/plugins/example.hello/config';
  const first = await app.ask('PUT', path, { body: { password: 'hunter2' }, headers: keyed('k') });
  const again = await app.ask('PUT', path, { body: { password: 'hunter2' }, headers: keyed('k') });
  t.match(again, { status: 200, text: first.text, headers: { etag: first.headers.etag, ...replayed.headers } });
  const [row] = await keysOf(app);
  t.notMatch(JSON.stringify(row), 'hunter2');
  const guess = ['hunter2', '{"password":"hunter2"}'].map((text) => hash('sha256', text));
  t.notOk(guess.includes(String(row?.fingerprint)));
});

for (const [what, path, body, status] of [
  ['a plugin that is not there', '/api/plugins/lifecycle', { id: 'example.none', status: 'installed' }, 404],
  ['a forbidden step', '/api/plugins/lifecycle', { id: 'example.hello', status: 'active' }, 409],
] as const) {
  t.test(`given a request that meets ${what}, when it comes again, then it meets the same`, async (t) => {
    const app = await startApp(t);
    const first = await app.ask('POST', path, { body, headers: keyed('k') });
    const again = await app.ask('POST', path, { body, headers: keyed('k') });
    t.equal(first.status, status);
    t.match(again, { status, text: first.text, headers: { 'content-type': 'application/problem+json', 'idempotent-replayed': 'true' } });
  });
}

for (const code of ['unavailable', 'storage-unavailable', 'sandbox-unavailable', 'rate-limited'] as const) {
  t.test(`given a call refused as ${code}, when it comes again, then it is tried again`, async (t) => {
    const app = await startApp(t);
    const ask = () => app.ask('POST', '/api/plugins/example.hello/call', { body: { service: 's', method: 'm' }, headers: keyed('k') });
    app.state.answerCall = () => Promise.reject(new HostError(code, 'not now'));
    t.match((await ask()).body, { code });
    app.state.answerCall = async () => 'done';
    t.match(await ask(), { status: 200, body: 'done', headers: { 'idempotent-replayed': undefined } });
  });
}

for (const code of ['deadline-exceeded', 'plugin-crashed', 'internal'] as const) {
  t.test(`given a call that ended as ${code}, when it comes again, then the plugin is not called again`, async (t) => {
    const app = await startApp(t);
    const ask = () => app.ask('POST', '/api/plugins/example.hello/call', { body: { service: 's', method: 'm' }, headers: keyed('k') });
    app.state.answerCall = () => Promise.reject(new HostError(code, 'who knows'));
    const first = await ask();
    app.state.answerCall = async () => 'done twice';
    t.match(await ask(), { status: first.status, text: first.text, ...replayed });
    t.equal(app.state.calls.length, 1);
  });
}

t.test('given an answer too large to keep, when its request comes again, then it says so and nothing is done', async (t) => {
  const app = await startApp(t);
  app.state.answerCall = async () => 'x'.repeat(keptBodyBytes);
  const ask = () => app.ask('POST', '/api/plugins/example.hello/call', { body: { service: 's', method: 'm' }, headers: keyed('k') });
  t.equal((await ask()).text.length, keptBodyBytes + 2);
  t.match(await ask(), { status: 409, body: { rule: 'answer-not-kept', answered_status: 200, hint: String } });
  t.equal(app.state.calls.length, 1);
});

/** Leaves a request as a crash would: claimed, and changed or not; nobody is at it. */
async function leave(app: App, request: [string, string, unknown], isChanged: boolean) {
  const earlier = createRepeatedRequests({ database: app.database, clock: createRealClock() });
  const { id } = await earlier.begin({ token: app.admin.id, key: 'k', request: JSON.stringify([...request, '', '']) }, true);
  if (isChanged) await app.database.write((tx) => earlier.settle(tx, id, null));
}

t.test('given a crash before the change, when its request comes again, then it is done now', async (t) => {
  const app = await startApp(t);
  await leave(app, ['PUT', entry, { value: 'green' }], false);
  t.match(await app.ask('PUT', entry, { body: { value: 'green' }, headers: keyed('k') }), { status: 200, body: { revision: 1 } });
});

t.test(
  'given a crash between the change and its answer, when its request comes again, then what is so is told and nothing is done',
  async (t) => {
    const app = await startApp(t);
    const body = { id: 'example.hello', status: 'installed' };
    await leave(app, ['POST', '/api/plugins/lifecycle', body], true);
    const answer = await app.ask('POST', '/api/plugins/lifecycle', { body, headers: keyed('k') });
    t.match(answer, { status: 200, body: { id: 'example.hello' }, ...replayed });
    t.same(app.state.actors, [], 'nobody was asked to change it');
  },
);

t.test('given a crash during a call, when its request comes again, then nobody pretends to know', async (t) => {
  const app = await startApp(t);
  const body = { service: 's', method: 'm' };
  await leave(app, ['POST', '/api/plugins/example.hello/call', body], false);
  const answer = await app.ask('POST', '/api/plugins/example.hello/call', { body, headers: keyed('k') });
  t.match(answer, { status: 409, body: { code: 'conflict', rule: 'outcome-unknown', hint: /new key/ } });
  t.equal(app.state.calls.length, 0);
});

for (const [what, lines] of [
  ['nothing', ['idempotency-key: ']],
  ['empty quotation marks', ['idempotency-key: ""']],
  ['one quotation mark', ['idempotency-key: "abc']],
  ['a parameter', ['idempotency-key: "abc";a=1']],
  ['a blank outside quotation marks', ['idempotency-key: a b']],
  ['an escape of nothing', ['idempotency-key: "a\\b"']],
  ['a letter beyond ASCII', ['idempotency-key: "\u00e4"']],
  ['too many characters', [`idempotency-key: "${'a'.repeat(256)}"`]],
  ['far too many', [`idempotency-key: ${'a'.repeat(10_000)}`]],
  ['two headers', ['idempotency-key: "a"', 'idempotency-key: "a"']],
  ['two headers that make one string', ['idempotency-key: "a', 'idempotency-key: b"']],
] as const) {
  t.test(`given a key of ${what}, when a change has it, then 400 and nothing is done`, async (t) => {
    const app = await startApp(t);
    const before = await stepOf(app);
    t.match(await app.askRaw('PUT', entry, '{"value":"green"}', lines), /^HTTP\/1.1 400 .*malformed-idempotency-key/s);
    t.same([await stepOf(app), await keysOf(app)], [before, []]);
  });
}

t.test('given a request that is refused before anything begins, when it has a key, then the key is still new', async (t) => {
  const app = await startApp(t);
  t.equal((await app.ask('PUT', entry, { body: { value: 1 }, headers: keyed('k') })).status, 400);
  t.equal((await app.ask('PUT', entry, { body: { value: 'green' }, headers: keyed('k'), token: null })).status, 401);
  t.equal(
    (await app.ask('PUT', entry, { body: { value: 'green' }, headers: keyed('k'), token: (await app.makeToken(['audit:read'])).token }))
      .status,
    403,
  );
  t.same(await keysOf(app), []);
  t.match(await app.ask('GET', '/api/kv', { headers: keyed('k') }), { status: 200 }, 'a read needs no key');
});
