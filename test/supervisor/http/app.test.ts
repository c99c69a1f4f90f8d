import { once } from 'node:events';
import t from 'tap';
import { HostError } from '../../../protocol/errors.ts';
import { readAll, startApp } from './start-app.ts';

const lifecycle = '/api/plugins/lifecycle';

t.test('given bodies that are not one JSON object, when they are posted, then each is refused by name', async (t) => {
  const app = await startApp(t);
  const cases: [string | Buffer, string][] = [
    ['{"id": "example.hello", ', 'invalid-json'],
    ['{"id":"a","status":"active"} {}', 'invalid-json'],
    ['{"id":"a","id":"b","status":"active"}', 'duplicate-key'],
    ['{"__proto__":{"id":"a"}}', 'forbidden-key'],
    [Buffer.from([0x7b, 0xff, 0x7d]), 'invalid-utf8'],
    [`${'['.repeat(65)}${']'.repeat(65)}`, 'too-deep'],
    ['\ufeff{}', 'byte-order-mark'],
  ];
  for (const [raw, rule] of cases) {
    const answer = await app.ask('POST', lifecycle, { raw });
    t.match(answer, { status: 400, body: { code: 'invalid-params', rule, error: { code: 'bad_request' } } }, rule);
  }
  t.match(await app.ask('POST', lifecycle, { raw: '[]' }), { status: 400, body: { code: 'invalid-params' } });
  t.match(await app.ask('POST', lifecycle), { status: 400, body: { code: 'invalid-params', detail: 'this request needs a JSON body' } });
});

t.test('given another content type or a compressed body, when it is posted, then 415 in the shape of invalid parameters', async (t) => {
  const app = await startApp(t);
  const refused: Record<string, string>[] = [
    { 'content-type': 'text/plain' },
    { 'content-type': 'application/jsonp' },
    { 'content-encoding': 'gzip' },
  ];
  for (const headers of refused) {
    const answer = await app.ask('POST', lifecycle, { raw: '{}', headers });
    t.match(answer, { status: 415, body: { code: 'invalid-params', rule: 'unsupported-media-type', error: { code: 'bad_request' } } });
  }
  const answer = await app.ask('POST', lifecycle, { raw: '{}', headers: { 'content-type': 'Application/JSON; charset=utf-8' } });
  t.match(answer, { status: 400, body: { detail: /^body \/id/ } }, 'a charset is fine');
});

t.test('given a body announced as over 1 MiB, when only its head has been sent, then 413 without reading on', async (t) => {
  const app = await startApp(t);
  const socket = await app.dial();
  socket.write(
    `POST ${lifecycle} HTTP/1.1\r\nHost: ${new URL(app.url).host}\r\nAuthorization: Bearer ${app.admin.token}\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n{`,
  );
  const said = await readAll(socket);
  t.match(said, /^HTTP\/1\.1 413 .*payload-too-large/s);
});

t.test('given a client that asks before it sends too much, when it asks, then it is not told to go on', async (t) => {
  const app = await startApp(t);
  const socket = await app.dial();
  socket.write(
    `POST ${lifecycle} HTTP/1.1\r\nHost: ${new URL(app.url).host}\r\nAuthorization: Bearer ${app.admin.token}\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n`,
  );
  t.match(await readAll(socket), /^HTTP\/1\.1 413 /);
});

t.test('given a body in chunks that never says how long it is, when it grows over 1 MiB, then 413 and the connection ends', async (t) => {
  const app = await startApp(t);
  const socket = await app.dial();
  const ended = readAll(socket);
  socket.write(
    `POST ${lifecycle} HTTP/1.1\r\nHost: ${new URL(app.url).host}\r\nAuthorization: Bearer ${app.admin.token}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`,
  );
  const chunk = `${(65536).toString(16)}\r\n${'a'.repeat(65536)}\r\n`;
  for (let sent = 0; sent < 17; sent++) socket.write(chunk);
  t.match(await ended, /^HTTP\/1\.1 413 /);
});

t.test('given a head or a body that comes too slowly, when its time is over, then the connection is ended', async (t) => {
  const app = await startApp(t, { limits: { headersMs: 100, requestMs: 200, checkMs: 25 } });
  const slowHead = await app.dial();
  slowHead.write('GET /healthz HTTP/1.1\r\nHost: ');
  const slowBody = await app.dial();
  slowBody.write(
    `POST ${lifecycle} HTTP/1.1\r\nHost: ${new URL(app.url).host}\r\nAuthorization: Bearer ${app.admin.token}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`,
  );
  const [head, body] = await Promise.all([readAll(slowHead), readAll(slowBody)]);
  t.match(head, /^HTTP\/1\.1 408 /);
  t.match(body, /^(HTTP\/1\.1 408 |$)/);
  t.equal((await app.ask('GET', '/healthz', { token: null })).status, 200, 'and others are served');
});

t.test('given a Host that is not ours, when anything is asked, then 403 by name, and it is audited', async (t) => {
  const app = await startApp(t);
  const { port } = new URL(app.url);
  for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1:1', '10.0.0.1', `127.0.0.1.evil.example:${port}`]) {
    const answer = await app.ask('GET', '/healthz', { token: null, headers: { host } });
    t.match(answer, { status: 403, body: { code: 'forbidden', rule: 'host-not-allowed' } }, host);
  }
  for (const host of [`localhost:${port}`, `LOCALHOST:${port}`, `[::1]:${port}`, `127.0.0.1:${port}`]) {
    t.equal((await app.ask('GET', '/healthz', { token: null, headers: { host } })).status, 200, host);
  }
  t.match(await app.deniedRows(), [{ code: 'forbidden', rule: 'host-not-allowed' }]);
});

t.test('given a path that is known with other methods, when it is asked, then 405 with those', async (t) => {
  const app = await startApp(t);
  const cases: [string, string, string][] = [
    ['PUT', lifecycle, 'GET, HEAD, POST'],
    ['GET', '/api/plugins/call', 'POST'],
    ['POST', '/api/plugins/refused', 'GET, HEAD'],
    ['DELETE', '/api/plugins/example.hello', 'GET, HEAD'],
    ['OPTIONS', '/api/plugins', 'GET, HEAD'],
    ['PATCH', '/api/kv/default/colour', 'DELETE, GET, HEAD, PUT'],
  ];
  for (const [method, path, allow] of cases) {
    const answer = await app.ask(method, path);
    t.match(
      answer,
      { status: 405, headers: { allow }, body: { code: 'method-not-found', error: { code: 'method_not_allowed' } } },
      `${method} ${path}`,
    );
    t.notOk(Object.keys(answer.headers).some((name) => name.startsWith('access-control-')));
  }
});

t.test('given a path that is not there, when it is asked, then 404', async (t) => {
  const app = await startApp(t);
  for (const path of [
    '/',
    '/api',
    '/api/plugins/',
    '/API/plugins',
    '/api/plugins/lifecycle/why',
    '/api/kv/default/colour/more',
    '/api/plugins/%2e%2e/why',
    '//api/plugins',
  ]) {
    t.match(await app.ask('GET', path), { status: 404, body: { code: 'not-found', error: { code: 'not_found' } } }, path);
  }
  t.match(await app.ask('GET', '/api/kv/default/%ff'), { status: 400, body: { code: 'invalid-params' } });
  t.match(await app.ask('GET', '/api/kv/default/a%2fb'), { status: 400 }, 'a slash in a key reaches no other entry');
});

t.test('given a token in the query or in another scheme, when something is asked, then it does not count', async (t) => {
  const app = await startApp(t);
  t.match(await app.ask('GET', `/api/plugins?token=${app.admin.token}`, { token: null }), { status: 401 });
  for (const authorization of [
    `Basic ${app.admin.token}`,
    app.admin.token,
    'Bearer',
    `Bearer ${app.admin.token}x`,
    `Bearer ${app.admin.token} x`,
  ]) {
    const answer = await app.ask('GET', '/api/plugins', { token: null, headers: { authorization } });
    t.match(answer, { status: 401, headers: { 'www-authenticate': /invalid_token/ } }, authorization);
  }
});

t.test('given a revoked token, when it is used at once, then 401', async (t) => {
  const app = await startApp(t);
  const made = await app.makeToken(['audit:read']);
  t.equal((await app.ask('GET', '/api/plugins', { token: made.token })).status, 200);
  await app.ask('DELETE', `/api/tokens/${made.id}`);
  t.equal((await app.ask('GET', '/api/plugins', { token: made.token })).status, 401);
});

t.test('given failed authorisations, when the audit is read, then it has who, what and from where, and no token', async (t) => {
  const app = await startApp(t);
  const weak = await app.makeToken(['audit:read']);
  await app.ask('GET', '/api/plugins/example.hello/why', { token: null });
  await app.ask('GET', '/api/plugins/example.hello/why', { token: 'lat_wrong' });
  await app.ask('GET', '/api/plugins/example.hello/why', { token: weak.token });
  const rows = await app.deniedRows();
  t.match(rows, [
    {
      code: 'unauthenticated',
      actor: null,
      verdict: 'deny',
      summary: '{"method":"GET","route":"/api/plugins/:id/why","address":"127.0.0.1"}',
    },
    { code: 'unauthenticated', actor: null },
    { code: 'forbidden', actor: weak.id, rule: 'scope-missing' },
  ]);
  t.notMatch(JSON.stringify(rows), 'lat_');
});

t.test('given many failures from one address, when the audit is read, then 20 have a row and one row counts the rest', async (t) => {
  const app = await startApp(t);
  const weak = await app.makeToken(['audit:read']);
  for (let asked = 0; asked < 25; asked++) await app.ask('GET', '/api/tokens', { token: weak.token });
  t.equal((await app.deniedRows()).length, 20);
  t.match(await app.deniedRows('denials.closed'), [{ code: 'forbidden', summary: /"left_out":5/ }]);
});

t.test('given no token, when more than the burst is asked, then 429 with Retry-After, and tokens and probes go on', async (t) => {
  const app = await startApp(t);
  const answers = await Promise.all([...Array(60).keys()].map(() => app.ask('GET', '/api/plugins', { token: null })));
  const limited = answers.filter((answer) => answer.status === 429);
  t.ok(limited.length > 0 && answers.some((answer) => answer.status === 401));
  t.match(limited[0], { headers: { 'retry-after': /^[1-9]/ }, body: { code: 'rate-limited', error: { code: 'rate_limited' } } });
  t.equal((await app.ask('GET', '/api/plugins')).status, 200);
  t.equal((await app.ask('GET', '/healthz', { token: null })).status, 200);
});

t.test(
  'given a supervisor that fails without having foreseen it, when it is asked, then `internal` without its text, which the log has',
  async (t) => {
    const app = await startApp(t);
    app.state.answerCall = async () => {
      throw new Error('secret /srv/path');
    };
    const answer = await app.ask('POST', '/api/plugins/call', { body: { id: 'example.hello', service: 'greeter', method: 'greet' } });
    t.match(answer, {
      status: 500,
      body: { code: 'internal', detail: 'internal error', error: { code: 'internal_error', message: 'internal error' } },
    });
    t.notMatch(answer.text, 'secret');
    t.match(
      app.log.events.filter(({ level }) => level === 'error'),
      [{ event: 'http.failed', fields: { request_id: Object(answer.body).request_id, cause: /secret/ } }],
    );
  },
);

t.test('given any answer, when its headers are read, then they forbid what a browser might do, and name the request', async (t) => {
  const app = await startApp(t);
  for (const path of ['/healthz', '/nowhere', '/api/plugins']) {
    const { headers } = await app.ask('GET', path);
    t.match(headers, {
      'x-lattice-request-id': /^r-/,
      'x-content-type-options': 'nosniff',
      'content-security-policy': /default-src 'none'/,
      'x-frame-options': /./,
      'cache-control': 'no-store',
    });
    t.notOk('x-powered-by' in headers || 'access-control-allow-origin' in headers);
  }
});

t.test('given a HEAD request, when it is answered, then without a body', async (t) => {
  const app = await startApp(t);
  const answer = await app.ask('HEAD', '/healthz', { token: null });
  t.match(answer, { status: 200, text: '' });
});

t.test('given a request whose target is a whole URL, when it is sent, then it is refused', async (t) => {
  const app = await startApp(t);
  const socket = await app.dial();
  socket.write(`GET http://elsewhere.example/healthz HTTP/1.1\r\nHost: ${new URL(app.url).host}\r\nConnection: close\r\n\r\n`);
  t.match(await readAll(socket), /^HTTP\/1\.1 400 /);
});

t.test('given a call under way, when the client goes away, then its signal is aborted', async (t) => {
  const app = await startApp(t);
  const called = new Promise<AbortSignal>((resolve) => {
    app.state.answerCall = async ({ signal }) => {
      resolve(signal);
      await once(signal, 'abort');
      throw new HostError('cancelled', 'gone');
    };
  });
  const socket = await app.dial();
  const body = '{"id":"example.hello","service":"greeter","method":"greet"}';
  socket.write(
    `POST /api/plugins/call HTTP/1.1\r\nHost: ${new URL(app.url).host}\r\nAuthorization: Bearer ${app.admin.token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  const signal = await called;
  socket.destroy();
  if (!signal.aborted) await once(signal, 'abort');
  t.match(signal.reason, { code: 'cancelled' });
});

t.test(
  'given a request under way, when the service stops, then it is answered, new ones are not taken, and idle connections are closed',
  async (t) => {
    const app = await startApp(t);
    await app.ask('GET', '/healthz'); // leaves an idle connection
    const called = new Promise<() => void>((resolve) => {
      app.state.answerCall = () => new Promise((answer) => resolve(() => answer('late')));
    });
    const asked = app.ask('POST', '/api/plugins/call', { body: { id: 'example.hello', service: 'greeter', method: 'greet' } });
    const release = await called;
    const stopped = app.server.stop(60_000);
    await t.rejects(app.dial());
    release();
    t.match(await asked, { status: 200, body: 'late', headers: { connection: 'close' } });
    await stopped;
  },
);

t.test('given a request that never ends, when the grace time of stopping is over, then it is cut', async (t) => {
  const app = await startApp(t);
  const called = new Promise<void>((resolve) => {
    app.state.answerCall = ({ signal }) => {
      resolve();
      return new Promise((_answer, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    };
  });
  const asked = app.ask('POST', '/api/plugins/call', { body: { id: 'example.hello', service: 'greeter', method: 'greet' } });
  const cut = t.rejects(asked);
  await called;
  await app.server.stop(10);
  await cut;
});

t.test('given a body that comes whole, in pieces, or a byte at a time, when it is read, then it is the same', async (t) => {
  const app = await startApp(t);
  const body = JSON.stringify({ service: 'greeter', method: 'greet', payload: 'héllo' });
  const bytes = Buffer.from(body);
  const head = `POST /api/plugins/example.hello/call HTTP/1.1\r\nHost: ${new URL(app.url).host}\r\nAuthorization: Bearer ${app.admin.token}\r\nContent-Type: application/json\r\n`;
  const sized = Buffer.from(`${head}Content-Length: ${bytes.length}\r\n\r\n`);
  const ways: Buffer[][] = [
    [Buffer.concat([sized, bytes])],
    [sized, bytes],
    [Buffer.concat([sized, bytes.subarray(0, 60)]), bytes.subarray(60)],
    [sized, ...Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))],
    [Buffer.from(`${head}Content-Length: 0${bytes.length}\r\n\r\n`), bytes],
    [Buffer.from(`${head}Transfer-Encoding: chunked\r\n\r\n${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n0\r\n\r\n')],
  ];
  const socket = await app.dial();
  socket.setNoDelay(true);
  for (const [at, pieces] of ways.entries()) {
    for (const piece of pieces) {
      socket.write(piece);
      await new Promise((resolve) => setImmediate(resolve)); // each has its turn
    }
    const [answer] = await once(socket, 'data');
    t.match(String(answer), /^HTTP\/1\.1 200 .*\{"echo":"héllo"\}$/s, `way ${at}`);
  }
});

t.test('given two requests in one piece, when they are answered, then each has its own body', async (t) => {
  const app = await startApp(t);
  const ask = (payload: string, more = ''): string => {
    const body = JSON.stringify({ service: 'greeter', method: 'greet', payload });
    return `POST /api/plugins/example.hello/call HTTP/1.1\r\nHost: ${new URL(app.url).host}\r\nAuthorization: Bearer ${app.admin.token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n${more}\r\n${body}`;
  };
  const socket = await app.dial();
  socket.write(ask('one') + ask('another') + ask('last', 'Connection: close\r\n'));
  const said = await readAll(socket);
  t.same(
    [...said.matchAll(/\{"echo":"(\w+)"\}/g)].map(([, payload]) => payload),
    ['one', 'another', 'last'],
  );
});
