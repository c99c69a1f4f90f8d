import t from 'tap';
import { z } from 'zod';
import { findNearest } from '../../protocol/nearest.ts';
import { plainly, tellFirst } from '../../protocol/plain-words.ts';

const schema = z.strictObject({
  name: z.string().min(1).max(4),
  scopes: z.array(z.enum(['plugin:call', 'audit:read'])).max(2),
  wait: z.int().min(1).max(60_000).optional(),
  since: z.iso.datetime().optional(),
  form: z.literal('v3').optional(),
  settings: z.record(z.string(), z.unknown()).optional(),
  key: z.string().regex(/^k/, 'a key begins with k').optional(),
});
const sound = { name: 'x', scopes: [] };

for (const [what, value, said] of [
  ['a list for an object', [1], '/ must be an object, not a list'],
  ['a field that is missing', { scopes: [] }, '/name is missing'],
  ['a field that was misspelt', { nmae: 'x', scopes: [] }, '/ has the unknown field "nmae"; did you mean "name"?'],
  ['an optional field that was misspelt', { ...sound, wiat: 1 }, '/ has the unknown field "wiat"; did you mean "wait"?'],
  ['a field that is like no other', { ...sound, entrypoint: 1 }, '/ has the unknown field "entrypoint"'],
  [
    'a word that was misspelt',
    { ...sound, scopes: ['plugin:cal'] },
    '/scopes/0 must be one of plugin:call, audit:read, not "plugin:cal"; did you mean "plugin:call"?',
  ],
  ['a word of another sort', { ...sound, scopes: [null] }, '/scopes/0 must be one of plugin:call, audit:read, not null'],
  ['a number that is too large', { ...sound, wait: 90_000 }, '/wait must be at most 60000, not 90000'],
  ['a number with a fraction', { ...sound, wait: 1.5 }, '/wait must be a whole number, not 1.5'],
  ['an empty text', { ...sound, name: '' }, '/name must not be empty'],
  ['a long text', { ...sound, name: 'abcde' }, '/name must have at most 4 characters'],
  ['a long list', { ...sound, scopes: ['plugin:call', 'plugin:call', 'plugin:call'] }, '/scopes must have at most 2 entries'],
  ['no time', { ...sound, since: 'yesterday' }, '/since must be a time like 2026-01-31T12:00:00Z'],
  ['another literal', { ...sound, form: 'v2' }, '/form must be "v3", not "v2"'],
  ['settings that are a list', { ...sound, settings: [1] }, '/settings must be an object, not a list'],
  ['what the schema has words for', { ...sound, key: 'x' }, '/key a key begins with k'],
] as const) {
  t.test(`given ${what}, when it is refused, then that is said in plain words`, async (t) => {
    const checked = schema.safeParse(value, plainly);
    const { pointer, message } = tellFirst(checked.error?.issues ?? []);
    t.equal(`${pointer} ${message}`, said);
  });
}

t.test('given names, when one is misspelt, then the nearest is found, and none where it is like no other', async (t) => {
  const names = ['engine', 'egress', 'name', 'kv:read'];
  t.equal(findNearest('engin', names), 'engine');
  t.equal(findNearest('kv:raed', names), 'kv:read');
  t.equal(findNearest('x', names), null);
  t.equal(findNearest('e'.repeat(100_000), names), null, 'and nobody waits for it');
});
