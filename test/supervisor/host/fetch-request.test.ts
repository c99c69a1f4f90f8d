import fc from 'fast-check';
import t from 'tap';
import { HostError } from '../../../protocol/errors.ts';
import { checkHeaders, followRedirect, type Outgoing, parseTarget, portOf } from '../../../supervisor/host/fetch-request.ts';

function ruleOf(run: () => unknown): string {
  try {
    run();
    return 'ok';
  } catch (thrown) {
    return thrown instanceof HostError ? `${thrown.code}/${String(thrown.details.rule)}` : 'not a HostError';
  }
}

const spellings: [string, string][] = [
  ['http://0x7f.1/', '127.0.0.1'],
  ['http://2130706433/', '127.0.0.1'],
  ['http://0177.0.0.01/', '127.0.0.1'],
  ['http://017700000001/', '127.0.0.1'],
  ['http://127.1/', '127.0.0.1'],
  ['http://①②⑦.⓪.⓪.①/', '127.0.0.1'],
  ['http://127.0.0.1./', '127.0.0.1'],
  ['http://0/', '0.0.0.0'],
  ['http://[::ffff:169.254.169.254]/', '[::ffff:a9fe:a9fe]'],
  ['http://[0:0:0:0:0:0:0:1]/', '[::1]'],
  ['https://bücher.example/', 'xn--bcher-kva.example'],
  ['https://EXAMPLE.com/', 'example.com'],
  ['https://ex%61mple.com/', 'example.com'],
  ['https://api.example.com\\@evil.test/', 'api.example.com'],
  ['https://evil.test#@api.example.com/', 'evil.test'],
  ['https://evil.test?@api.example.com/', 'evil.test'],
];
for (const [url, host] of spellings) {
  t.test(`given ${url}, when it is parsed, then the host is ${host}`, async (t) => t.equal(parseTarget(url).hostname, host));
}

const refused: [string, string][] = [
  ['', 'invalid-params/url-invalid'],
  ['/path', 'invalid-params/url-invalid'],
  ['//example.com', 'invalid-params/url-invalid'],
  ['http://[fe80::1%25eth0]/', 'invalid-params/url-invalid'],
  ['http://1.2.3.4.5/', 'invalid-params/url-invalid'],
  ['http://a:99999/', 'invalid-params/url-invalid'],
  ['https://user@example.com/', 'invalid-params/url-credentials'],
  ['https://user:secret@example.com/', 'invalid-params/url-credentials'],
  ['https://:secret@example.com/', 'invalid-params/url-credentials'],
  ['https://api.example.com@evil.test/', 'invalid-params/url-credentials'],
  ['file:///etc/passwd', 'egress-blocked/scheme-not-allowed'],
  ['ftp://example.com/', 'egress-blocked/scheme-not-allowed'],
  ['data:text/plain,x', 'egress-blocked/scheme-not-allowed'],
  ['javascript:1', 'egress-blocked/scheme-not-allowed'],
  ['unix:/run/docker.sock', 'egress-blocked/scheme-not-allowed'],
  ['ws://example.com/', 'egress-blocked/scheme-not-allowed'],
];
for (const [url, rule] of refused) {
  t.test(`given the URL ${JSON.stringify(url)}, when it is parsed, then it is ${rule}`, async (t) =>
    t.equal(
      ruleOf(() => parseTarget(url)),
      rule,
    ),
  );
}

t.test('given any text, when it is parsed as a URL, then the fault never repeats it', async (t) => {
  fc.assert(
    fc.property(fc.string({ minLength: 6 }), (text) => {
      try {
        parseTarget(`https://user:${encodeURIComponent(text)}@host.test/?${encodeURIComponent(text)}`);
        return false;
      } catch (thrown) {
        return thrown instanceof HostError && !JSON.stringify([thrown.message, thrown.details]).includes(encodeURIComponent(text));
      }
    }),
  );
  t.pass();
});

t.test('given URLs with and without a port, when the port is asked for, then the default of the scheme stands in', async (t) => {
  t.same(
    ['http://a.test/', 'https://a.test/', 'https://a.test:80/', 'http://a.test:8080'].map((url) => portOf(parseTarget(url))),
    [80, 443, 80, 8080],
  );
});

const forbidden = [
  'Host',
  'Connection',
  'Keep-Alive',
  'Transfer-Encoding',
  'Content-Length',
  'TE',
  'Trailer',
  'Upgrade',
  'Expect',
  'Proxy-Authorization',
  'proxy-connection',
  'HTTP2-Settings',
];
for (const name of forbidden) {
  t.test(`given the header ${name}, when it is checked, then it is refused`, async (t) =>
    t.equal(
      ruleOf(() => checkHeaders({ [name]: 'x' })),
      'invalid-params/header-forbidden',
    ),
  );
}

const badHeaders: [Record<string, string>, string][] = [
  [{ 'x-a': 'b\r\nx-c: d' }, 'header-value'],
  [{ 'x-a': 'b\nx-c: d' }, 'header-value'],
  [{ 'x-a': 'b\0' }, 'header-value'],
  [{ 'x-a': 'snow ☃' }, 'header-value'],
  [{ 'x a': 'b' }, 'header-name'],
  [{ 'x-a:': 'b' }, 'header-name'],
  [{ 'x-a\r\n': 'b' }, 'header-name'],
  [{ '': 'b' }, 'header-name'],
  [{ 'X-A': 'b', 'x-a': 'c' }, 'header-twice'],
  [Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`x-${at}`, ''])), 'headers-too-large'],
  [{ 'x-a': 'b'.repeat(65_536) }, 'headers-too-large'],
];
for (const [headers, rule] of badHeaders) {
  t.test(`given ${JSON.stringify(headers).slice(0, 40)}, when the headers are checked, then the rule is ${rule}`, async (t) =>
    t.equal(
      ruleOf(() => checkHeaders(headers)),
      `invalid-params/${rule}`,
    ),
  );
}

const from: Outgoing = {
  url: new URL('https://a.test/start?secret=1'),
  method: 'POST',
  headers: { authorization: 'Bearer x', cookie: 'a=b', 'content-type': 'text/plain', 'x-own': '1' },
  body: Buffer.from('text'),
};

const methods: [number, string, string][] = [
  [301, 'POST', 'GET'],
  [302, 'POST', 'GET'],
  [303, 'POST', 'GET'],
  [307, 'POST', 'POST'],
  [308, 'POST', 'POST'],
  [301, 'PUT', 'PUT'],
  [302, 'DELETE', 'DELETE'],
  [303, 'PUT', 'GET'],
  [303, 'HEAD', 'HEAD'],
  [303, 'GET', 'GET'],
  [302, 'HEAD', 'HEAD'],
];
for (const [status, method, next] of methods) {
  t.test(`given a ${status} answer to ${method}, when it is followed, then the next is ${next}`, async (t) => {
    const hop = followRedirect({ ...from, method }, status, '/next');

    t.equal(hop?.method, next);
    t.equal(hop?.body?.toString(), method === next ? 'text' : undefined);
    t.equal(hop?.headers['content-type'], method === next ? 'text/plain' : undefined);
  });
}

t.test('given a redirect within the origin, when it is followed, then credentials go along', async (t) => {
  const hop = followRedirect(from, 307, 'next#part');

  t.equal(hop?.url.href, 'https://a.test/next');
  t.match(hop?.headers, { authorization: 'Bearer x', cookie: 'a=b', 'x-own': '1' });
});

for (const location of ['https://b.test/', 'https://a.test:8443/', '//b.test/', 'https://x.a.test/']) {
  t.test(`given a redirect to ${location}, when it is followed, then Authorization and Cookie stay behind`, async (t) => {
    t.same(Object.keys(followRedirect(from, 307, location)?.headers ?? {}), ['content-type', 'x-own']);
  });
}

const blocked: [string, string][] = [
  ['http://a.test/', 'redirect-downgrade'],
  ['https://user:pw@a.test/', 'redirect-url-credentials'],
  ['file:///etc/passwd', 'redirect-scheme-not-allowed'],
  ['https://a.test:99999/', 'redirect-url-invalid'],
];
for (const [location, rule] of blocked) {
  t.test(`given a redirect to ${location}, when it is followed, then it is blocked as ${rule}`, async (t) =>
    t.equal(
      ruleOf(() => followRedirect(from, 302, location)),
      `egress-blocked/${rule}`,
    ),
  );
}

t.test('given an answer that is no redirect, when it is looked at, then there is no next hop', async (t) => {
  t.equal(followRedirect(from, 200, '/x'), null);
  t.equal(followRedirect(from, 304, '/x'), null);
  t.equal(followRedirect(from, 302, undefined), null);
});
