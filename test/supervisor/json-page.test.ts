import t from 'tap';
import { createReadPage } from '../../supervisor/json-page.ts';
import { openTempDatabase } from '../support/temp-database.ts';

type Stored = { id: number; text: string | null };
const read = createReadPage<Stored>({ id: 'INTEGER', text: 'TEXT' });
const odd = ['', '"', '\\', '\\"', 'nul\0nul', '\u001f\n', '\u2028', '😀', '\ud7ff\uffff', '{"a":1}', 'null', '12345678901234567890'];

t.test('given texts that JSON writes in other ways, when they are read as a page, then each is what was stored', async (t) => {
  const database = await openTempDatabase(t);
  const values = odd.map(() => '(?, ?)').join(', ');
  const params = odd.flatMap((text, index) => [Number.MAX_SAFE_INTEGER - index, text]);
  const from = `(SELECT column1 AS id, column2 AS text FROM (VALUES ${values}))`;

  for (const orderBy of ['id DESC', 'id ASC']) {
    const rows = odd.map((text, index) => ({ id: Number.MAX_SAFE_INTEGER - index, text }));
    t.same(await read(database.read, { from, orderBy }, params), orderBy === 'id DESC' ? rows : rows.reverse());
  }
});

const damaged: [name: string, id: string, text: string, expected: Stored | object][] = [
  ['bytes for a text', '1', `x'4142'`, { id: 1, text: 'AB' }],
  ['no text', '1', 'NULL', { id: 1, text: null }],
  ['a text for a number', `'seven'`, `'a'`, { id: 0, text: 'a' }],
  ['an endless number', '9e999', `'a'`, { id: Number, text: 'a' }],
];
for (const [name, id, text, expected] of damaged) {
  t.test(`given a row in which the disk put ${name}, when it is read among others, then those are read as well`, async (t) => {
    const database = await openTempDatabase(t);
    const from = `(SELECT 0 AS at, 5 AS id, 'whole' AS text UNION ALL SELECT 1, ${id}, ${text} UNION ALL SELECT 2, 6, 'too')`;

    t.match(await read(database.read, { from, orderBy: 'id' }, []), { length: 3 });
    t.match(await read(database.read, { from: `${from} WHERE at = 1`, orderBy: 'id' }, []), [expected]);
  });
}

t.test('given nothing that passes, when it is read, then the page is empty', async (t) => {
  const database = await openTempDatabase(t);
  t.same(await read(database.read, { from: `(SELECT 1 AS id, 'a' AS text) WHERE id = 2`, orderBy: 'id' }, []), []);
});
