import t from 'tap';
import { displayWidth, fitWidths, renderTable, wrapText } from '../../../supervisor/cli/table.ts';

const id = 'example.with-a-very-long-identifier-that-people-copy';
const columns = [{ title: 'ID', keep: true }, { title: 'STATUS', keep: true }, { title: 'REMARK' }];
const rows = [
  [id, 'active', 'one remark that is rather long and has to be broken into several lines'],
  ['b', 'disabled', ''],
];

t.test('given room, or no terminal, when a table is rendered, then one line a row', async (t) => {
  const lines = renderTable(columns, rows, null).split('\n');
  t.equal(lines.length, 4);
  t.match(lines[1], `${id}  active    one remark that is`);
  t.notMatch(lines.join('\n'), / \n/);
});

for (const width of [120, 100, 80]) {
  t.test(`given a terminal of ${width} columns, when a table is rendered, then no line is wider, and the id is whole`, async (t) => {
    const lines = renderTable(columns, rows, width).split('\n');
    for (const line of lines) t.ok(displayWidth(line) <= width, line);
    t.match(lines[1], id);
    t.match(lines.join(' ').replace(/\s+/g, ' '), /several/);
  });
}

t.test('given a terminal too narrow for the columns, when a table is rendered, then one field a line and nothing is cut', async (t) => {
  const text = renderTable(columns, rows, 40);
  t.match(text, new RegExp(`^ID      ${id}\nSTATUS  active\nREMARK  one remark`));
  t.match(text, /several lines/);
});

t.test('given too little room, when columns may give way, then the others stay a table, and those left out are named', async (t) => {
  const narrow = [
    { title: 'TIME', keep: true, narrow: (text: string) => text.slice(0, 5) },
    { title: 'ID', keep: true, narrow: 'wrap' as const },
    { title: 'SUMMARY', narrow: 'drop' as const },
    { title: 'NONE', narrow: 'drop' as const },
  ];
  const row = ['12:08:05.123', 'an-id-of-twenty-chars', 'long words that take room', '-'];

  t.same(renderTable(narrow, [row], 25).split('\n').slice(0, 3), ['TIME   ID', '12:08  an-id-of-twenty-ch', '       ars']);
  t.match(renderTable(narrow, [row], 25), /\(no room here for SUMMARY: /);
  t.notMatch(renderTable(narrow, [row], 100), /no room/);
});

t.test('given records, when a field says nothing, then it has no line', async (t) => {
  t.same(renderTable(columns, [[id, '-', '']], 40), `ID      ${id}\n`);
});

t.test('given hostile cells, when a table is rendered, then they are spelled out and stay in their row', async (t) => {
  const text = renderTable(columns, [['a', 'x\ny', '\u001b[31mred']], null);
  t.match(text, /^a +x\\ny +\\e\[31mred$/m);
});

t.test('given widths, when they are fitted, then the widest gives way first, and those to keep never', async (t) => {
  t.same(fitWidths([20, 40, 30], [true, false, false], 74), [20, 25, 25]);
  t.equal(fitWidths([60, 40], [true, false], 70), null);
  t.same(fitWidths([10, 10], [true, true], 22), [10, 10]);
});

t.test('given text, when it is wrapped, then at spaces, wide characters count twice, and long words are broken', async (t) => {
  t.same(wrapText('one two three', 7), ['one two', 'three']);
  t.same(wrapText('abcdefghij', 4), ['abcd', 'efgh', 'ij']);
  t.same(wrapText('日本語', 4), ['日本', '語']);
  t.same(wrapText('', 4), ['']);
  t.equal(displayWidth('e\u0301'), 1);
});
