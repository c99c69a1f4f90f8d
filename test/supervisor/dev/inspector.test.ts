import { request } from 'node:http';
import t from 'tap';
import { eventually } from '../../support/eventually.ts';
import { browse, needsBrowser, openPage } from '../../support/inspector-page.ts';

type Asked = { method?: string; path: string; body?: object; headers?: Record<string, string> };
type Answered = { status: number | undefined; body: string; headers: Record<string, unknown> };

/** A request as any program could make it; fetch would not let a header like Host be set. */
function ask(url: URL, { method = 'GET', path, body, headers = {} }: Asked): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const origin = method === 'POST' ? { origin: url.origin } : {};
    const sent = request({ host: url.hostname, port: url.port, method, path, headers: { ...origin, ...headers } }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      answer.on('end', () => resolve({ status: answer.statusCode, body: text, headers: answer.headers }));
    });
    sent.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** What a stream that never ends says, as far as this text. */
function readUntil(url: URL, { path, headers = {} }: Asked, end: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: url.hostname, port: url.port, path, headers }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (!text.includes(end)) return;
        resolve(text);
        sent.destroy();
      });
    });
    sent.on('error', reject).end();
  });
}

t.test(
  'given a browser, when the page is opened, then it shows, calls, faults and pauses, and what a plugin wrote stays text',
  needsBrowser,
  async (t) => {
    const { harness, url } = await openPage(t);
    const { page, shows, problems, outside } = await browse(t, url);
    await page.goto(url.href);
    await shows('#name', 'Stores things 1.0.0');
    t.notMatch(page.url(), url.hash, 'the token is out of the address');
    await page.locator('#payload').fill('"<i>v</i>"');
    await page.locator('#call button').click();
    await shows('#timeline', '<- "stored"');
    await shows('#kv', '<i>v</i>');
    t.equal(await page.$$eval('#kv b, #kv i, #timeline b', (found) => found.length), 0, 'no markup came of it');
    t.ok(await page.$$eval('#timeline li', (rows) => rows.some((row) => row.getAttribute('data-kind') === 'message')));

    await page.locator('#step').fill('kv.put');
    await page.locator('#faults button[data-action="deny"]').click();
    await page.locator('#call button').click();
    await shows('#timeline', 'deny@kv.put at kv.put');
    await page.locator('#payload').fill('{');
    await page.locator('#call button').click();
    await shows('#said', 'not JSON');
    await page.locator('#filter').fill('deny@');
    t.equal(await page.$$eval('#timeline li', (rows) => rows.filter((row) => !(row as { hidden?: boolean }).hidden).length), 1);
    await page.locator('#pause').click();
    await eventually(() => harness.isPaused());
    t.same([problems, outside], [[], []]);
  },
);

const order = {
  type: 'object',
  properties: {
    name: { type: 'string', title: 'Name <b>', description: 'who is greeted', minLength: 1, maxLength: 20 },
    times: { type: 'integer', minimum: 1, maximum: 5, default: 2 },
    mood: { enum: ['glad', 'sad'] },
    loud: { type: 'boolean' },
    tags: { type: 'array', items: { type: 'string' } },
    at: { type: 'object', properties: { city: { type: 'string' }, zip: { type: ['string', 'null'] } }, required: ['zip'] },
  },
  required: ['name', 'mood'],
};
const method = (name: string, more: object = {}) => ({ name, effect: 'read', scopes: [], ...more });

t.test(
  'given declared payloads, when a method is chosen, then each property has its input, and they make the payload',
  needsBrowser,
  async (t) => {
    const methods = [
      method('echo', { params: order, result: order }),
      method('one', { params: { type: 'number', maximum: 9 } }),
      method('any'),
    ];
    const services = [{ name: 'tool', methods }];
    const echoes = '{ services: { tool: { echo: (x) => x, one: (x) => x, any: (x) => x } } }';
    const { url } = await openPage(t, { code: echoes, manifest: { services } });
    const { page, shows, problems } = await browse(t, url);
    const field = (name: string) => `#fields [data-field="${name}"]`;
    const payload = () => page.$eval('#payload', (area) => JSON.parse((area as unknown as { value: string }).value));

    await page.goto(url.href);
    await shows('#fields', 'who is greeted');
    t.same(await payload(), { name: '', times: 2, mood: 'glad', at: { zip: null } }, 'what is proposed stands there');
    t.equal(await page.$$eval('#fields b', (found) => found.length), 0, 'no markup came of it');
    await page.locator(field('name')).fill('Ada');
    await page.locator(field('times')).fill('3');
    await page.select(field('mood'), '1');
    await page.select(field('loud'), '0');
    await page.locator(field('tags')).fill('["a"]');
    await page.locator(field('city')).fill('Hamburg');
    t.same(await payload(), { name: 'Ada', times: 3, mood: 'sad', loud: true, tags: ['a'], at: { city: 'Hamburg', zip: null } });
    await page.locator('#call button').click();
    await shows('#timeline', '"city":"Hamburg"');

    await page.locator('#payload').fill('{"name":"Ada","mood":"cross"}');
    await page.locator('#call button').click();
    await shows('#said', '/mood must be one of "glad", "sad"');
    await page.locator(field('times')).fill('9');
    await page.locator('#call button').click();
    t.equal(await page.$eval(field('times'), (input) => (input as unknown as { validity: { valid: boolean } }).validity.valid), false);
    await page.select('#method', 'tool.one');
    await page.locator(field('payload')).fill('7');
    t.equal(await payload(), 7);
    await page.select('#method', 'tool.any');
    t.equal(await page.$$eval('#fields input', (found) => found.length), 0, 'what is not declared has no field');
    t.same(problems, []);
  },
);

t.test('given the token, when it is used, then it counts once, and its cookie is bound to this site', async (t) => {
  const { url, token } = await openPage(t);

  const wrong = await ask(url, { method: 'POST', path: '/session', body: { token: `${token}x` } });
  const first = await ask(url, { method: 'POST', path: '/session', body: { token } });
  const second = await ask(url, { method: 'POST', path: '/session', body: { token } });

  t.same([wrong.status, first.status, second.status], [403, 200, 403]);
  const [cookie = ''] = first.headers['set-cookie'] as string[];
  t.match(cookie, /^lattice_inspector_\d+=[\w-]{43}; HttpOnly; SameSite=Strict; Path=\/$/);
  const signedIn = { cookie: cookie.split(';')[0] ?? '' };
  t.equal((await ask(url, { path: '/kv', headers: signedIn })).body, '[]');
  t.equal((await ask(url, { path: '/kv' })).status, 403, 'not without it');
  t.equal((await ask(url, { path: '/kv', headers: { cookie: `${signedIn.cookie}x` } })).status, 403);
  const foreign: [string, Asked][] = [
    ['another name', { path: '/kv', headers: { ...signedIn, host: `evil.example.com:${url.port}` } }],
    ['localhost', { path: '/', headers: { host: `localhost:${url.port}` } }],
    ['another origin', { path: '/kv', headers: { ...signedIn, origin: 'http://evil.example.com' } }],
    ['a post of another origin', { method: 'POST', path: '/command', body: { text: 'q' }, headers: { ...signedIn, origin: 'null' } }],
    ['a post without an origin', { method: 'POST', path: '/command', body: { text: 'q' }, headers: { ...signedIn, origin: '' } }],
  ];
  for (const [what, asked] of foreign) t.equal((await ask(url, asked)).status, 403, what);
});

t.test('given the page, when it is fetched, then its policy allows nothing from elsewhere, and it holds no token', async (t) => {
  const { url, token } = await openPage(t);
  for (const path of ['/', '/page.js', '/call-form.js', '/page.css']) {
    const { status, body, headers } = await ask(url, { path });
    t.equal(status, 200, path);
    t.match(headers['content-security-policy'], /^default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';/);
    t.match(headers, { 'referrer-policy': 'no-referrer', 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' });
    t.notMatch(body, token);
    t.notMatch(body, /https?:\/\//);
  }
  for (const path of ['/page.html', '/../package.json', '/inspector.ts', '/toString'])
    t.equal((await ask(url, { path })).status, 403, path);
});

t.test('given more rows than are kept, when a page comes late, then pings are what it does not see any more', async (t) => {
  const { inspector, url, token } = await openPage(t);
  const signedIn = await ask(url, { method: 'POST', path: '/session', body: { token } });
  const [cookie = ''] = signedIn.headers['set-cookie'] as string[];
  const note = (text: string) => inspector.show({ kind: 'note', at: 0, level: 'info', text });
  note('what came first');
  for (let id = 0; id < 2500; id++)
    inspector.show({ kind: 'message', at: 0, direction: 'out', message: { id: `p-${id}`, method: 'ping' }, bytes: 1 });
  note('what came last');

  const body = await readUntil(url, { path: '/events', headers: { cookie: cookie.split(';')[0] ?? '' } }, 'what came last');

  t.match(body, 'what came first');
  t.notMatch(body, '"p-400"');
  t.match(body, '"p-2499"');
});

t.test('given a body that is too large or no JSON, when it is posted, then it is refused', async (t) => {
  const { url, token } = await openPage(t);
  const { status } = await ask(url, { method: 'POST', path: '/session', body: { token, more: 'x'.repeat(1024 * 1024) } });
  t.equal(status, 413);
  const list = await ask(url, { method: 'POST', path: '/session', body: null as unknown as object });
  t.equal(list.status, 400);
});
