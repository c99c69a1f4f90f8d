import fc from 'fast-check';
import t from 'tap';
import { idPattern } from '../../../protocol/manifest.ts';
import { nameActionCell, nameGenerationCell, nameWaitingCell } from '../../../supervisor/sandbox/cell-names.ts';

const id = fc
  .array(fc.constantFrom('a', 'waiting', '.', '_', '-', '1', '2'), { minLength: 3, maxLength: 8 })
  .map((parts) => parts.join(''));
const ids = id.filter((text) => idPattern.test(text));
const number = fc.integer({ min: 1, max: 12 });
const cell = fc.oneof(
  fc.tuple(ids, number).map(([plugin, generation]) => ({ of: [plugin, generation], name: nameGenerationCell(plugin, generation) })),
  fc.tuple(ids, number, number).map(([plugin, generation, action]) => ({
    of: [plugin, generation, action],
    name: nameActionCell(plugin, generation, action),
  })),
  number.map((waiting) => ({ of: [waiting], name: nameWaitingCell(waiting) })),
);

t.test('given any two cells, when they are not the same, then neither are their names, and each is a file name', async (t) => {
  fc.assert(
    fc.property(fc.array(cell, { minLength: 2, maxLength: 40 }), (cells) => {
      const names = new Map<string, string>();
      for (const { of, name } of cells) {
        const said = JSON.stringify(of);
        if (names.has(name) && names.get(name) !== said) throw new Error(`${said} and ${names.get(name)} are both ${name}`);
        names.set(name, said);
        if (!/^[a-z0-9_][a-z0-9._+-]*$/.test(name)) throw new Error(name);
      }
    }),
    { seed: 7, numRuns: 300 },
  );
  t.pass();
});

const lookalikes: [name: string, one: string, other: string][] = [
  ['a plugin called waiting, and a waiting child', nameGenerationCell('waiting', 2), nameWaitingCell(2)],
  ['a plugin called like a generation, and an action', nameGenerationCell('example.a-1', 2), nameActionCell('example.a', 1, 2)],
];
for (const [name, one, other] of lookalikes)
  t.test(`given ${name}, when their cells are named, then the names differ`, async (t) => t.not(one, other));
