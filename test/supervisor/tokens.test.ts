import t, { type Test } from 'tap';
import { createTokens } from '../../supervisor/tokens.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { openTempDatabase } from '../support/temp-database.ts';

async function openTokens(t: Test) {
  const clock = createFakeClock();
  const database = await openTempDatabase(t, clock);
  return { clock, database, tokens: createTokens({ database, clock }) };
}

t.test('given a created token, when it is shown, then it is its holder’s, at once and after a restart', async (t) => {
  const { clock, database, tokens } = await openTokens(t);

  const { id, token } = await tokens.create({ name: 'dashboard', scopes: ['plugin:call', 'audit:read'] }, 't-0');

  const caller = { id, name: 'dashboard', scopes: ['plugin:call', 'audit:read'], plugin: null };
  t.match(token, /^lat_[A-Za-z0-9_-]{43}$/);
  t.match(id, /^t-/);
  t.same(await tokens.authenticate(token), caller);
  t.same(await createTokens({ database, clock }).authenticate(token), caller);
});

t.test('given a token for one plugin, when it is shown, then the plugin is named', async (t) => {
  const { tokens } = await openTokens(t);

  const { token } = await tokens.create({ name: 'caller', scopes: ['plugin:call'], plugin: 'example.hello' }, 't-0');

  t.match(await tokens.authenticate(token), { plugin: 'example.hello' });
});

t.test('given texts that are no token of ours, when they are shown, then they are nobody’s', async (t) => {
  const { tokens } = await openTokens(t);
  const { token } = await tokens.create({ name: 'one', scopes: ['audit:read'] }, 't-0');
  const last = token.at(-1) === 'A' ? 'B' : 'A';

  for (const text of [
    '',
    'lat_',
    token.slice(0, -1),
    `${token}A`,
    ` ${token}`,
    `${token}\n`,
    token.toUpperCase(),
    `${token.slice(0, -1)}${last}`,
  ]) {
    t.equal(await tokens.authenticate(text), null, JSON.stringify(text.slice(0, 6)));
  }
});

t.test('given a revoked token, when it is shown, then it is refused at once and after a restart', async (t) => {
  const { clock, database, tokens } = await openTokens(t);
  const { id, token } = await tokens.create({ name: 'one', scopes: ['audit:read'] }, 't-0');
  await tokens.authenticate(token);

  await tokens.revoke(id, 't-0');

  t.equal(await tokens.authenticate(token), null);
  t.equal(await createTokens({ database, clock }).authenticate(token), null);
});

t.test('given a token that expires, when its time has come, then it is refused', async (t) => {
  const { clock, tokens } = await openTokens(t);
  const { token } = await tokens.create({ name: 'one', scopes: ['audit:read'], expiresAt: '2026-01-01T01:00:00+00:00' }, 't-0');
  clock.setWall(Date.UTC(2026, 0, 1, 0, 59, 59, 999));
  t.ok(await tokens.authenticate(token));

  clock.setWall(Date.UTC(2026, 0, 1, 1));

  t.equal(await tokens.authenticate(token), null);
});

t.test('given tokens, when they are listed, then each is described and none can be used', async (t) => {
  const { tokens } = await openTokens(t);
  const first = await tokens.create({ name: 'one', scopes: ['audit:read'], expiresAt: '2027-01-01T00:00:00Z' }, 't-0');
  await tokens.revoke(first.id, 't-0');

  const list = await tokens.list();

  t.same(list, [
    {
      id: first.id,
      name: 'one',
      scopes: ['audit:read'],
      plugin: null,
      createdBy: 't-0',
      createdAt: '2026-01-01T00:00:00.000Z',
      expiresAt: '2027-01-01T00:00:00.000Z',
      revokedAt: '2026-01-01T00:00:00.000Z',
    },
  ]);
});

t.test('given every change, when the database is searched, then the text of a token is nowhere in it', async (t) => {
  const { database, tokens } = await openTokens(t);
  const { id, token } = await tokens.create({ name: 'one', scopes: ['audit:read', 'audit:read'] }, 't-0');
  await tokens.revoke(id, 't-9');
  await tokens.revoke(id, 't-9'); // again: nothing to do

  const rows = await database.read.all<{ actor: string; summary: string }>('SELECT actor, kind, summary FROM audit ORDER BY seq');

  t.same(
    rows.map((row) => ({ ...row, summary: JSON.parse(row.summary) })),
    [
      {
        actor: 't-0',
        kind: 'token.change',
        summary: { change: 'create', token: id, name: 'one', scopes: ['audit:read'], expires_at: null },
      },
      { actor: 't-9', kind: 'token.change', summary: { change: 'revoke', token: id, name: 'one' } },
    ],
  );
  t.notMatch(JSON.stringify([rows, await database.read.all('SELECT * FROM tokens')]), token.slice(4));
});

t.test('given the last token that may manage tokens, when it is revoked, then that is refused', async (t) => {
  const { clock, tokens } = await openTokens(t);
  const first = await tokens.create({ name: 'one', scopes: ['token:admin'] }, null);
  await tokens.create({ name: 'reader', scopes: ['audit:read'] }, null);
  const second = await tokens.create({ name: 'two', scopes: ['token:admin'], expiresAt: '2026-01-02T00:00:00Z' }, null);
  clock.setWall(Date.UTC(2026, 0, 3)); // the second has expired

  await t.rejects(tokens.revoke(first.id, first.id), { code: 'conflict', details: { rule: 'last-admin-token', hint: String } });

  t.ok(await tokens.authenticate(first.token));
  await tokens.revoke(second.id, first.id); // an expired one may go
  const third = await tokens.create({ name: 'three', scopes: ['token:admin'] }, first.id);
  await tokens.revoke(first.id, third.id);
  t.equal(await tokens.authenticate(first.token), null);
});

t.test('given two admins that revoke each other at once, when both ask, then one stays', async (t) => {
  const { tokens } = await openTokens(t);
  const one = await tokens.create({ name: 'one', scopes: ['token:admin'] }, null);
  const two = await tokens.create({ name: 'two', scopes: ['token:admin'] }, null);

  const outcomes = await Promise.allSettled([tokens.revoke(one.id, two.id), tokens.revoke(two.id, one.id)]);

  t.same(
    outcomes.map((outcome) => outcome.status),
    ['fulfilled', 'rejected'],
  );
  t.ok(await tokens.authenticate(two.token));
});

t.test('given no such token, when it is revoked, then that is said', async (t) => {
  const { tokens } = await openTokens(t);

  await t.rejects(tokens.revoke('t-absent', 't-0'), { code: 'not-found', details: { hint: String } });
});

const refused = {
  'no name': { name: '', scopes: ['audit:read'] },
  'a name of 65 characters': { name: 'x'.repeat(65), scopes: ['audit:read'] },
  'a line break in the name': { name: 'a\nb', scopes: ['audit:read'] },
  'a character that turns the writing round': { name: 'a\u202eb', scopes: ['audit:read'] },
  'no scope': { name: 'one', scopes: [] },
  'an unknown scope': { name: 'one', scopes: ['audit:read', 'everything'] },
  'the name of a method of every object as scope': { name: 'one', scopes: ['constructor'] },
  'an expiry in the past': { name: 'one', scopes: ['audit:read'], expiresAt: '2025-01-01T00:00:00Z' },
  'an expiry that is no time': { name: 'one', scopes: ['audit:read'], expiresAt: 'soon' },
  'a plugin that cannot be': { name: 'one', scopes: ['plugin:call'], plugin: '../etc' },
};
for (const [what, request] of Object.entries(refused)) {
  t.test(`given a request with ${what}, when the token is created, then it is refused`, async (t) => {
    const { database, tokens } = await openTokens(t);

    await t.rejects(tokens.create(request, 't-0'), { code: 'invalid-params', details: { hint: String } });

    t.equal(database.head().seq, 0);
  });
}
