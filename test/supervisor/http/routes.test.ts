import assert from 'node:assert/strict';
import t from 'tap';
import { scopes } from '../../../protocol/scopes.ts';
import type { Route } from '../../../supervisor/http/route.ts';
import { createRoutes } from '../../../supervisor/http/routes.ts';
import { createFakeSupervisor, fakeDoctor } from './fake-supervisor.ts';
import { startApp, verifiable } from './start-app.ts';

// The table alone is read here; what would be called is never reached.
const nothing = () => Promise.reject(new Error('not reached'));
const routes = createRoutes({
  supervisor: createFakeSupervisor().supervisor,
  tokens: { create: nothing, list: nothing, revoke: nothing },
  audit: { query: nothing, verify: nothing, head: () => ({ seq: 0, hash: '' }) },
  kv: { get: nothing, list: nothing, put: nothing, delete: nothing, buckets: nothing },
  trust: { verify: nothing, policy: () => assert.fail('not reached') },
  market: { view: () => Object.assign({}), refresh: nothing, fetch: nothing },
  version: '0',
  database: () => fakeDoctor.database,
  doctor: () => fakeDoctor,
});

const bodies: Record<string, unknown> = {
  'POST /api/marketplace/fetch': { id: 'example.hello', version: '1.0.0' },
  'POST /api/plugins/call': { id: 'example.hello', service: 'greeter', method: 'greet' },
  'POST /api/plugins/:id/call': { service: 'greeter', method: 'greet' },
  'POST /api/plugins/verify': verifiable,
  'POST /api/plugins/lifecycle': { id: 'example.hello', status: 'installed' },
  'POST /api/plugins/:id/transfer': { publisher: 'acme.tools' },
  'PUT /api/plugins/:id/config': { colour: 'green' },
  'PUT /api/plugins/:id/egress': { egress: ['api.example.com:443'] },
  'PUT /api/kv/:bucket/:key': { value: 'green' },
  'POST /api/tokens': { name: 'new', scopes: ['plugin:call'] },
};
// A right to do it, and yet nothing there to do it to: these answer otherwise than with success.
const expected: Record<string, number> = {
  'POST /api/marketplace/refresh': 503,
  'POST /api/marketplace/fetch': 404,
  'POST /api/tokens': 201,
  'DELETE /api/tokens/:id': 404,
  'POST /api/plugins/:id/upgrade': 409,
  'POST /api/plugins/:id/rollback': 409,
  'GET /api/kv/:bucket/:key': 404,
};
const nameOf = (route: Route) => `${route.method} ${route.path}`;
const pathOf = (route: Route) =>
  route.path
    .replace('tokens/:id', 'tokens/t-0000000000000000')
    .replace(':id', 'example.hello')
    .replace(':bucket', 'default')
    .replace(':key', 'colour');
const requestOf = (route: Route) => {
  const body = bodies[nameOf(route)];
  return body === undefined ? {} : { body };
};

t.test('every route has a doc, a scope or a reason to need none, and a path of its own', async (t) => {
  t.equal(new Set(routes.map(nameOf)).size, routes.length);
  t.same(
    routes.filter((route) => route.scope === null).map((route) => route.path),
    ['/healthz', '/readyz'],
  );
  for (const route of routes) t.ok(route.doc.length > 20, nameOf(route));
});

for (const route of routes) {
  const { scope } = route;
  if (scope === null) continue;

  t.test(`given no token, when ${nameOf(route)} is asked, then 401 with a challenge`, async (t) => {
    const app = await startApp(t);
    const answer = await app.ask(route.method, pathOf(route), { ...requestOf(route), token: null });
    t.match(answer, { status: 401, headers: { 'www-authenticate': /^Bearer/, 'content-type': 'application/problem+json' } });
    t.match(answer.body, { code: 'unauthenticated', error: { code: 'unauthorized' } });
  });

  t.test(`given a token with every scope but ${scope}, when ${nameOf(route)} is asked, then 403 naming it`, async (t) => {
    const app = await startApp(t);
    const { token } = await app.makeToken(scopes.filter((other) => other !== scope));
    const answer = await app.ask(route.method, pathOf(route), { ...requestOf(route), token });
    t.match(answer, { status: 403, body: { code: 'forbidden', scope, hint: /lattice token create/, error: { code: 'forbidden' } } });
  });

  t.test(`given a token with only ${scope}, when ${nameOf(route)} is asked, then it is let through`, async (t) => {
    const app = await startApp(t);
    const { token } = await app.makeToken([scope]);
    const beyond = nameOf(route) === 'POST /api/tokens' ? { body: { name: 'new', scopes: ['token:admin'] } } : requestOf(route);
    const answer = await app.ask(route.method, pathOf(route), { ...beyond, token });
    t.equal(answer.status, expected[nameOf(route)] ?? 200, answer.text);
  });

  t.test(`when ${nameOf(route)} is asked with an unknown query parameter, then 400`, async (t) => {
    const app = await startApp(t);
    const answer = await app.ask(route.method, `${pathOf(route)}?surprise=1`, requestOf(route));
    t.match(answer, { status: 400, body: { code: 'invalid-params' } });
  });
}

for (const route of routes.filter((each) => each.method !== 'GET')) {
  t.test(`when ${nameOf(route)} is asked with an unknown body field, then 400`, async (t) => {
    if (route.path.endsWith('/config')) return t.pass('a configuration has any fields');
    const app = await startApp(t);
    const answer = await app.ask(route.method, pathOf(route), { body: { ...Object(bodies[nameOf(route)]), surprise: 1 } });
    t.match(answer, { status: 400, body: { code: 'invalid-params' } });
  });
}

const guarded = routes.filter((each) => each.guarded).map(nameOf);
t.test('each change of something that can be read takes conditions', async (t) => {
  t.same(guarded.sort(), [
    'DELETE /api/kv/:bucket/:key',
    'DELETE /api/tokens/:id',
    'POST /api/plugins/:id/reset',
    'POST /api/plugins/:id/rollback',
    'POST /api/plugins/:id/transfer',
    'POST /api/plugins/:id/upgrade',
    'POST /api/plugins/lifecycle',
    'POST /api/tokens',
    'PUT /api/kv/:bucket/:key',
    'PUT /api/plugins/:id/config',
    'PUT /api/plugins/:id/egress',
  ]);
});

for (const route of routes.filter((each) => each.method !== 'GET')) {
  const [status, rule] = route.guarded ? [412, 'if-match'] : [400, 'condition-not-here'];
  t.test(`when ${nameOf(route)} is asked with a stale tag, then ${status}, and nothing is changed`, async (t) => {
    const app = await startApp(t);
    const rows = async () => [await app.database.read.all('SELECT * FROM tokens'), await app.database.read.all('SELECT * FROM kv_entries')];
    const before = [await rows(), app.supervisor.list(), app.state.calls.length, app.state.actors.length];

    const answer = await app.ask(route.method, pathOf(route), { ...requestOf(route), headers: { 'if-match': '"stale"' } });
    t.match(answer, { status, body: { rule, hint: String } });

    t.same([await rows(), app.supervisor.list(), app.state.calls.length, app.state.actors.length], before);
    for (const garbage of ['stale', '"stale', '"a" "b"'])
      t.match(await app.ask(route.method, pathOf(route), { ...requestOf(route), headers: { 'if-none-match': garbage } }), {
        status: 400,
        body: { rule: 'malformed-condition' },
      });
  });
}

const forPlugin = routes.filter((route) => route.forPluginTokens).map(nameOf);
t.test('a token of one plugin reaches calls, logs and reasons only', async (t) => {
  t.same(forPlugin.sort(), [
    'GET /api/plugins/:id/logs',
    'GET /api/plugins/:id/why',
    'POST /api/plugins/:id/call',
    'POST /api/plugins/call',
  ]);
});

for (const route of routes.filter((each) => each.scope !== null)) {
  t.test(
    `given a token of example.hello with all scopes, when ${nameOf(route)} is asked, then only its own calls, logs and reasons`,
    async (t) => {
      const app = await startApp(t);
      const { token } = await app.makeToken(scopes, 'example.hello');
      const own = await app.ask(route.method, pathOf(route), { ...requestOf(route), token });
      t.equal(own.status, forPlugin.includes(nameOf(route)) ? 200 : 403);
      if (!forPlugin.includes(nameOf(route))) return;
      const body = requestOf(route).body;
      const other = body && !route.path.includes(':id') ? { body: { ...Object(body), id: 'example.world' } } : requestOf(route);
      const answer = await app.ask(route.method, pathOf(route).replace('example.hello', 'example.world'), { ...other, token });
      t.match(answer, { status: 403, body: { code: 'forbidden', rule: 'token-of-one-plugin' } });
    },
  );
}
