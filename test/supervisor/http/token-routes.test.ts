import t from 'tap';
import { startApp } from './start-app.ts';

t.test('given scopes, when a token is made, then its text is in the answer, works, and is nowhere else', async (t) => {
  const app = await startApp(t);
  const made = await app.ask('POST', '/api/tokens', { body: { name: ' ci ', scopes: ['audit:read'], expires_at: '2100-01-01T00:00:00Z' } });
  t.match(made, { status: 201, body: { id: /^t-/, token: /^lat_/, name: 'ci', scopes: ['audit:read'], plugin: null } });
  const { token } = made.body as { token: string };
  t.equal((await app.ask('GET', '/api/plugins', { token })).status, 200);
  const list = await app.ask('GET', '/api/tokens');
  t.match(list.body, {
    tokens: [{ name: 'admin' }, { name: 'ci', created_by: app.admin.id, expires_at: '2100-01-01T00:00:00.000Z', revoked_at: null }],
  });
  t.notMatch(list.text + (await app.ask('GET', '/api/audit')).text, token);
});

t.test('given a token without a scope, when it makes one with that scope, then 403', async (t) => {
  const app = await startApp(t);
  const { token } = await app.makeToken(['token:admin']);
  const answer = await app.ask('POST', '/api/tokens', { token, body: { name: 'more', scopes: ['token:admin', 'plugin:admin'] } });
  t.match(answer, { status: 403, body: { code: 'forbidden', rule: 'scope-beyond-own', scope: 'plugin:admin' } });
});

for (const [what, body] of [
  ['no scopes', { name: 'x', scopes: [] }],
  ['an unknown scope', { name: 'x', scopes: ['plugin:everything'] }],
  ['a scope twice', { name: 'x', scopes: ['audit:read', 'audit:read'] }],
  ['a name with an escape', { name: 'x\u001b[2J', scopes: ['audit:read'] }],
  ['an expiry that has passed', { name: 'x', scopes: ['audit:read'], expires_at: '2001-01-01T00:00:00Z' }],
  ['an expiry that is no time', { name: 'x', scopes: ['audit:read'], expires_at: 'soon' }],
] as const) {
  t.test(`given ${what}, when a token is asked for, then 400`, async (t) => {
    const app = await startApp(t);
    t.match(await app.ask('POST', '/api/tokens', { body }), { status: 400, body: { code: 'invalid-params' } });
  });
}
