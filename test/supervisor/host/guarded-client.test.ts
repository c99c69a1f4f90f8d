import t from 'tap';
import { createTestClient, get, openLoopback } from '../../support/fetch-setup.ts';
import { serveHttp } from '../../support/local-servers.ts';

t.test('given an open server, when it is asked, then it sees our Host and no header of a proxy, and the answer comes back', async (t) => {
  const { port, seen } = await serveHttp(t, (_seen, response) => response.writeHead(201, { 'x-answer': 'yes' }).end('hello'));
  const { client } = createTestClient();

  const request = get(`http://api.example.test:${port}/path?q=1#part`, {
    method: 'POST',
    headers: { 'X-Own': '1' },
    body: Buffer.from('text'),
  });
  const answer = await client.fetch(request, openLoopback(port));

  t.match(answer, { status: 201, headers: { 'x-answer': 'yes' }, url: `http://api.example.test:${port}/path?q=1`, redirects: 0 });
  t.equal(answer.body.toString(), 'hello');
  t.match(seen, [
    {
      method: 'POST',
      url: '/path?q=1',
      headers: { host: `api.example.test:${port}`, 'x-own': '1', connection: 'close', 'content-length': '4' },
      body: 'text',
    },
  ]);
});

t.test('given the proxy settings of an environment, when a server is asked, then it is asked directly', async (t) => {
  const { port, seen } = await serveHttp(t, (_seen, response) => void response.end());
  const names = ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY', 'all_proxy', 'NODE_USE_ENV_PROXY'];
  for (const name of names) process.env[name] = name === 'NODE_USE_ENV_PROXY' ? '1' : 'http://127.0.0.1:1';
  t.teardown(() => {
    for (const name of names) delete process.env[name];
  });

  await createTestClient().client.fetch(get(`http://api.example.test:${port}/`), openLoopback(port));

  t.equal(seen.length, 1);
});

const unsafe = [
  '127.0.0.1',
  '10.0.0.1',
  '169.254.169.254',
  '0.0.0.0',
  '::1',
  '::ffff:127.0.0.1',
  'fd00:ec2::254',
  '64:ff9b::7f00:1',
  'not an address',
];
for (const address of unsafe) {
  t.test(`given a name that resolves to a public address and to ${address}, when it is asked for, then nothing is connected`, async (t) => {
    for (const answers of [['192.0.43.8', address], [address, '192.0.43.8'], [address]]) {
      const { client } = createTestClient({ resolve: async () => answers });
      await t.rejects(client.fetch(get('http://rebind.example.test/'), openLoopback()), { code: 'egress-blocked' });
    }
  });
}

t.test(
  'given a name server that changes its answer, when a name is asked for, then it is resolved once and the first answer is used',
  async (t) => {
    const { port, seen } = await serveHttp(t, (_seen, response) => void response.end('first'));
    const answers = [['127.0.0.1'], ['10.0.0.1']];
    const asked: string[] = [];
    const { client } = createTestClient({
      resolve: async (host) => {
        asked.push(host);
        return answers.shift() ?? [];
      },
    });

    const answer = await client.fetch(get(`http://rebind.example.test:${port}/`), openLoopback(port));

    t.equal(answer.body.toString(), 'first');
    t.same(asked, ['rebind.example.test']);
    t.equal(seen.length, 1);
    await t.rejects(client.fetch(get(`http://rebind.example.test:${port}/`), openLoopback(port)), {
      code: 'egress-blocked',
      details: { rule: 'address-not-public' },
    });
  },
);

const literals: [string, string][] = [
  ['http://127.0.0.1/', 'address-not-public'],
  ['http://0x7f000001/', 'address-not-public'],
  ['http://[::1]/', 'address-not-public'],
  ['http://[::ffff:10.0.0.1]/', 'address-not-public'],
  ['http://2852039166/latest/meta-data', 'address-metadata'],
  ['http://[::ffff:a9fe:a9fe]/', 'address-metadata'],
  ['http://example.com./', 'host-invalid'],
  ['http://a_b.example.com/', 'host-invalid'],
  ['http://*.example.com/', 'host-invalid'],
  ['http://a..b/', 'host-invalid'],
  ['gopher://example.com/', 'scheme-not-allowed'],
];
for (const [url, rule] of literals) {
  t.test(`given ${url}, when it is fetched, then it is blocked as ${rule} without a look-up`, async (t) => {
    const { client } = createTestClient({
      resolve: async () => {
        throw new Error('looked up');
      },
    });
    await t.rejects(client.fetch(get(url), openLoopback()), { code: 'egress-blocked', details: { rule } });
  });
}

t.test('given an address of this machine, when a name leads to it, then it is blocked', async (t) => {
  const { client } = createTestClient({ resolve: async () => ['192.0.43.8'], ownAddresses: () => ['192.0.43.8'] });

  await t.rejects(client.fetch(get('http://self.example.test/'), openLoopback()), {
    code: 'egress-blocked',
    details: { rule: 'address-own' },
  });
});

t.test('given a host that is not listed, when it is asked for, then it is not even resolved', async (t) => {
  let lookups = 0;
  const { client } = createTestClient({ resolve: async () => [String(lookups++)] });

  const running = client.fetch(get('https://other.example.test/?token=secret'), { ...openLoopback(), isListed: () => false });

  await t.rejects(running, { code: 'egress-blocked', details: { rule: 'egress-not-listed', host: 'other.example.test', port: 443 } });
  await running.catch((error) => t.notMatch(JSON.stringify([error.message, error.details]), /secret/));
  t.equal(lookups, 0);
});

t.test('given a chain of five redirects, when it is followed, then the last answer comes back, and a sixth is refused', async (t) => {
  const { port, seen } = await serveHttp(t, ({ url }, response) => {
    const left = Number(url.slice(1));
    response.writeHead(left > 0 ? 302 : 200, left > 0 ? { location: `/${left - 1}` } : {}).end('end');
  });
  const { client } = createTestClient();

  const answer = await client.fetch(get(`http://a.example.test:${port}/5`), openLoopback(port));
  t.match(answer, { status: 200, redirects: 5, url: `http://a.example.test:${port}/0` });
  await t.rejects(client.fetch(get(`http://a.example.test:${port}/6`), openLoopback(port)), {
    code: 'unavailable',
    details: { rule: 'too-many-redirects' },
  });
  t.equal(seen.length, 12);
});

t.test('given "manual", when the answer is a redirect, then it is handed back', async (t) => {
  const { port } = await serveHttp(t, (_seen, response) => response.writeHead(302, { location: 'http://169.254.169.254/' }).end());

  const answer = await createTestClient().client.fetch(get(`http://a.example.test:${port}/`, { redirect: 'manual' }), openLoopback(port));

  t.match(answer, { status: 302, headers: { location: 'http://169.254.169.254/' }, redirects: 0 });
});

const traps: [string, string][] = [
  ['http://169.254.169.254/latest/', 'address-metadata'],
  ['http://127.0.0.1:1/', 'address-not-public'],
  ['//[::1]/', 'address-not-public'],
  ['http://unlisted.example.test/', 'egress-not-listed'],
  ['file:///etc/passwd', 'redirect-scheme-not-allowed'],
  ['http://user:pw@a.example.test/', 'redirect-url-credentials'],
];
for (const [location, rule] of traps) {
  t.test(`given a redirect to ${location}, when it is followed, then it is blocked as ${rule}`, async (t) => {
    const { port } = await serveHttp(t, (_seen, response) => response.writeHead(307, { location }).end());
    const policy = { ...openLoopback(port), isListed: (host: string) => host !== 'unlisted.example.test' };

    await t.rejects(createTestClient().client.fetch(get(`http://a.example.test:${port}/`), policy), {
      code: 'egress-blocked',
      details: { rule },
    });
  });
}

t.test('given a redirect to another origin, when it is followed, then credentials stay behind and the rest goes along', async (t) => {
  const other = await serveHttp(t, (_seen, response) => void response.end('there'));
  const first = await serveHttp(t, (_seen, response) =>
    response.writeHead(308, { location: `http://b.example.test:${other.port}/x` }).end(),
  );
  const headers = { Authorization: 'Bearer secret', Cookie: 'session=secret', 'X-Own': '1' };

  const request = get(`http://a.example.test:${first.port}/`, { method: 'PUT', headers, body: Buffer.from('text') });
  const answer = await createTestClient().client.fetch(request, openLoopback(first.port, other.port));

  t.equal(answer.body.toString(), 'there');
  t.match(first.seen, [{ headers: { authorization: 'Bearer secret', cookie: 'session=secret' } }]);
  t.match(other.seen, [{ method: 'PUT', body: 'text', headers: { 'x-own': '1', authorization: undefined, cookie: undefined } }]);
});

t.test('given a redirect whose name resolves anew, when it is followed, then the new answer is checked', async (t) => {
  const { port } = await serveHttp(t, (_seen, response) => response.writeHead(302, { location: '/again' }).end());
  const answers = [['127.0.0.1'], ['10.0.0.1']];
  const { client } = createTestClient({ resolve: async () => answers.shift() ?? [] });

  await t.rejects(client.fetch(get(`http://a.example.test:${port}/`), openLoopback(port)), {
    code: 'egress-blocked',
    details: { rule: 'address-not-public' },
  });
});

t.test('given a name server that never answers, when the deadline passes, then the fetch is over', async (t) => {
  const { client, clock } = createTestClient({ resolve: () => new Promise(() => {}) });
  const running = client.fetch(get('http://slow.example.test/', { timeoutMs: 500 }), openLoopback());

  await Promise.all([t.rejects(running, { code: 'deadline-exceeded' }), clock.advance(500)]);
});

t.test('given an answer whose body does not matter, when it is huge, then only its status is taken', async (t) => {
  const { port } = await serveHttp(t, (_seen, response) => response.writeHead(200).end('x'.repeat(1_000_000)));

  const answer = await createTestClient().client.fetch(
    get(`http://a.example.test:${port}/`, { ignoreBody: true, maxBytes: 0 }),
    openLoopback(port),
  );

  t.equal(answer.status, 200);
  t.equal(answer.body.length, 0);
});
