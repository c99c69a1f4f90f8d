import t from 'tap';
import { hostMethods, type Params } from '../../../protocol/host-methods.ts';
import { parseEgressAllow } from '../../../supervisor/host/egress-rules.ts';
import type { GuardedClient } from '../../../supervisor/host/guarded-client.ts';
import { createHttpFetch } from '../../../supervisor/host/http-fetch.ts';
import { createTestClient } from '../../support/fetch-setup.ts';
import { createHostCall } from '../../support/host-call.ts';
import { serveBytes, serveHttp } from '../../support/local-servers.ts';

const { params, result } = hostMethods['http.fetch'];

/** Fetches as the broker would: parameters parsed before, the answer parsed after. */
async function fetchAs(
  egress: string[],
  given: Params<'http.fetch'>,
  options: { allow?: string; client?: GuardedClient; signal?: AbortSignal } = {},
) {
  const { allow } = parseEgressAllow(options.allow ?? '');
  const httpFetch = createHttpFetch({ client: options.client ?? createTestClient().client, allow });
  return result.parse(await httpFetch(params.parse(given), createHostCall('http.fetch', { egress }, options.signal)));
}

t.test('given a listed and opened host, when a plugin fetches it, then it has the answer', async (t) => {
  const { port, seen } = await serveHttp(t, (_seen, response) => response.writeHead(200, { 'content-type': 'text/plain' }).end('grün'));
  const allow = `example.test=127.0.0.1:${port}`;

  const given = {
    url: `http://a.example.test:${port}/`,
    method: 'POST',
    body: '{"a":1}',
    headers: { 'Content-Type': 'application/json' },
  } as const;
  const answer = await fetchAs([`a.example.test:${port}`], given, { allow });

  t.match(answer, { status: 200, body: 'grün', headers: { 'content-type': 'text/plain' }, redirects: 0 });
  t.equal('body_base64' in answer, false);
  t.match(seen, [{ body: '{"a":1}', headers: { 'content-type': 'application/json' } }]);
});

t.test('given bytes in base64, when they are sent and come back as no text, then both ways keep them', async (t) => {
  const bytes = Buffer.from([0, 255, 254, 128]);
  const { port } = await serveHttp(t, (_seen, response) => response.end(bytes));
  const options = { allow: `example.test=127.0.0.1:${port}` };

  const answer = await fetchAs(
    [`a.example.test:${port}`],
    { url: `http://a.example.test:${port}/`, method: 'PUT', body_base64: 'AAEC' },
    options,
  );

  t.equal(answer.body_base64, bytes.toString('base64'));
  t.equal('body' in answer, false);
});

t.test('given text that would not fit in a line as JSON, when it is fetched, then it comes in base64', async (t) => {
  const { port } = await serveHttp(t, (_seen, response) => response.end(Buffer.alloc(300_000, 1)));

  const answer = await fetchAs(
    [`a.example.test:${port}`],
    { url: `http://a.example.test:${port}/` },
    { allow: `example.test=127.0.0.1:${port}` },
  );

  t.equal(answer.body_base64?.length, 400_000);
  t.ok(Buffer.byteLength(JSON.stringify(answer)) < 1024 * 1024);
});

t.test('given a host that is not listed, when it is fetched, then the refusal names the manifest line', async (t) => {
  for (const [url, line] of [
    ['https://api.example.com/v1?key=secret', '"api.example.com:443"'],
    ['http://[2606:4700::1111]:8080/', '"[2606:4700::1111]:8080"'],
    ['https://bücher.example/', '"xn--bcher-kva.example:443"'],
  ] as const) {
    await t.rejects(fetchAs(['other.example.com:443'], { url }), {
      code: 'egress-blocked',
      details: { rule: 'egress-not-listed', pointer: '/egress/-', line },
    });
  }
});

t.test('given a host that no line can list, when it is fetched, then the refusal names none', async (t) => {
  const running = fetchAs(['other.example.com:443'], { url: 'http://localhost:8080/' });

  await t.rejects(running, { code: 'egress-blocked', details: { rule: 'egress-not-listed', hint: /DNS names with a dot/ } });
  await running.catch((error) => t.notOk('line' in error.details));
});

t.test('given a listed host on a private address, when another plugin has it open, then it is blocked for this one', async (t) => {
  const { port, seen } = await serveHttp(t, (_seen, response) => void response.end());

  const running = fetchAs(
    [`a.example.test:${port}`],
    { url: `http://a.example.test:${port}/` },
    { allow: `example.other=127.0.0.1:${port},example.test=127.0.0.1:1` },
  );

  await t.rejects(running, { code: 'egress-blocked', details: { rule: 'address-not-public', hint: /LATTICE_EGRESS_ALLOW/ } });
  t.equal(seen.length, 0);
});

t.test('given a redirect to a listed host and to one that is not, when they are followed, then only the first is asked', async (t) => {
  const target = await serveHttp(t, (_seen, response) => void response.end('there'));
  const { port } = await serveHttp(t, ({ url }, response) =>
    response.writeHead(302, { location: `http://${url.slice(1)}.example.test:${target.port}/` }).end(),
  );
  const options = { allow: `example.test=127.0.0.1` };
  const egress = [`a.example.test:${port}`, `b.example.test:${target.port}`];

  t.match(await fetchAs(egress, { url: `http://a.example.test:${port}/b` }, options), { body: 'there', redirects: 1 });
  await t.rejects(fetchAs(egress, { url: `http://a.example.test:${port}/c` }, options), {
    code: 'egress-blocked',
    details: { line: `"c.example.test:${target.port}"` },
  });
  t.equal(target.seen.length, 1);
});

const badParams: [string, Params<'http.fetch'>, string, string][] = [
  ['body and body_base64', { url: 'https://a.test/', method: 'POST', body: 'a', body_base64: 'YQ==' }, 'invalid-params', 'body-twice'],
  ['a body on GET', { url: 'https://a.test/', body: 'a' }, 'invalid-params', 'body-not-allowed'],
  [
    'a body over the cap in bytes',
    { url: 'https://a.test/', method: 'POST', body: '☃'.repeat(200_000) },
    'payload-too-large',
    'body-too-large',
  ],
  ['no URL', { url: 'a.test' }, 'invalid-params', 'url-invalid'],
  ['a password in the URL', { url: 'https://u:secret@a.test/' }, 'invalid-params', 'url-credentials'],
  ['a Host header', { url: 'https://a.test/', headers: { host: 'b.test' } }, 'invalid-params', 'header-forbidden'],
  ['a header twice', { url: 'https://a.test/', headers: { 'x-a': '1', 'X-A': '2' } }, 'invalid-params', 'header-twice'],
  ['another scheme', { url: 'file:///etc/passwd' }, 'egress-blocked', 'scheme-not-allowed'],
];
for (const [what, given, code, rule] of badParams) {
  t.test(`given ${what}, when it is fetched, then it is ${code}`, async (t) => {
    await t.rejects(fetchAs(['a.test:443'], given), { code, details: { rule } });
  });
}

t.test('given every refusal, when its text is read, then query, header and body are not in it', async (t) => {
  const secret = 'hunter2';
  const given = { headers: { 'x-key': secret }, method: 'POST', body: secret } as const;
  for (const url of [
    `https://a.test/?${secret}`,
    `http://127.0.0.1/?${secret}`,
    `https://${secret}@a.test/`,
    `https://listed.test/?${secret}`,
  ]) {
    const client = createTestClient({ resolve: async () => Promise.reject(new Error(secret)) }).client;
    await fetchAs(['listed.test:443', '127.0.0.1:80'], { url, ...given }, { client }).then(
      () => t.fail('it was answered'),
      (error) => t.notMatch(JSON.stringify([error.message, error.details]), secret),
    );
  }
});

t.test('given a server that does not answer, when the plugin’s own timeout passes, then it is deadline-exceeded', async (t) => {
  const asked = Promise.withResolvers<unknown>();
  const port = await serveBytes(t, asked.resolve);
  const { client, clock } = createTestClient();
  const running = fetchAs(
    [`a.example.test:${port}`],
    { url: `http://a.example.test:${port}/`, timeout_ms: 1500 },
    { client, allow: 'example.test=127.0.0.1' },
  );

  await asked.promise;
  await Promise.all([t.rejects(running, { code: 'deadline-exceeded', details: { timeout_ms: 1500 } }), clock.advance(1500)]);
});

t.test('given a fetch under way, when the call is cancelled, then it is cancelled', async (t) => {
  const asked = Promise.withResolvers<unknown>();
  const port = await serveBytes(t, asked.resolve);
  const caller = new AbortController();
  const running = fetchAs(
    [`a.example.test:${port}`],
    { url: `http://a.example.test:${port}/` },
    { signal: caller.signal, allow: 'example.test=127.0.0.1' },
  );

  await asked.promise;
  caller.abort();
  await t.rejects(running, { code: 'cancelled' });
});

t.test('given sixteen fetches under way, when one more is asked for, then it is rate-limited, and another plugin is not', async (t) => {
  const answers: PromiseWithResolvers<never>[] = [];
  const client: GuardedClient = {
    fetch: () => {
      const answer = Promise.withResolvers<never>();
      answers.push(answer);
      return answer.promise;
    },
  };
  const httpFetch = createHttpFetch({ client, allow: new Map() });
  const given = params.parse({ url: 'https://a.test/' });
  const ask = (pluginId: string) => httpFetch(given, createHostCall('http.fetch', { pluginId }));
  const running = Array.from({ length: 16 }, () => ask('example.a'));

  await t.rejects(ask('example.a'), { code: 'rate-limited', details: { rule: 'fetches-in-flight' } });
  running.push(ask('example.b'));
  t.equal(answers.length, 17);

  for (const answer of answers) answer.reject(new Error('over'));
  await Promise.allSettled(running);
  const again = ask('example.a');
  t.equal(answers.length, 18);
  answers.at(-1)?.reject(new Error('over'));
  await t.rejects(again);
});
