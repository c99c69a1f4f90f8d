import t from 'tap';
import type { FaultAction } from '../../supervisor/dev/faults/fault-actions.ts';
import { type FaultOutcome, faultTable } from '../../supervisor/dev/faults/fault-table.ts';
import { faultActions, parseFault } from '../../supervisor/dev/faults/faults.ts';
import { parseFixture } from '../../supervisor/dev/fixture/read-fixture.ts';
import { runLattice } from '../supervisor/cli/run-lattice.ts';
import { listBlocks, readText } from './markdown.ts';

const manual = readText('docs/DEV-HARNESS.md');
const rows = [...manual.matchAll(/^\| (.*) \|$/gm)].map(([, row = '']) => row.split(' | ').map((cell) => cell.trim()));
const rowOf = (name: string) => rows.find(([first]) => first?.includes(`\`${name}\``));

t.test('given the fixture of the manual, when it is read, then it is accepted, and the schema for editors names its fields', async (t) => {
  const blocks = listBlocks(manual, 'yaml');
  const schema = JSON.parse(readText('docs/fixture.schema.json'));
  for (const block of blocks)
    for (const name of Object.keys(parseFixture(block, 'the manual'))) t.ok(Object.hasOwn(schema.properties, name), name);
  t.equal(blocks.length, 1);
});

t.test('given the options of lattice dev, when the manual is read, then it has each of them', async (t) => {
  const { stdout } = await runLattice(['dev', '--help']);
  const options = [...stdout.matchAll(/^ {2}(--[a-z]+)/gm)].map(([, name = '']) => name);
  t.ok(options.includes('--learn') && options.includes('--json'));
  for (const name of options) t.match(manual, `\`${name}`, name);
});

t.test('given the actions of faults, when the manual is read, then each is explained', async (t) => {
  for (const action of Object.keys(faultActions)) t.ok(rowOf(action), action);
});

const inManual: Record<string, string> = {
  'tool.echo': 'service.method',
  'tool.echo.answer': 'its `.answer`',
  'kv.put': 'a host call',
  'kv.put.answer': 'its `.answer`',
};
const describe = ({ call, ends }: FaultOutcome): string =>
  call === 'answered' && ends ? `answered, ${ends}` : (ends ?? call ?? 'goes on');

t.test('given the table of faults, when the manual is read, then it says the same', async (t) => {
  const shown = rows.filter((row) => row.length === 6 && row[0] !== 'step' && !/^-+$/.test(row[0] ?? ''));
  const steps = Object.entries(faultTable) as [string, Partial<Record<FaultAction, FaultOutcome>>][];
  t.equal(shown.length, steps.length);
  for (const [index, [step, outcomes]] of steps.entries()) {
    const [name, ...cells] = shown[index] ?? [];
    t.match(name, inManual[step] ?? step);
    const expected = (['drop', 'delay', 'dup', 'garble', 'kill'] as const).map((action) => outcomes[action]);
    t.same(
      cells,
      expected.map((outcome) => outcome && describe(outcome)),
      step,
    );
  }
});

const bad = ['drop', 'drop@', 'boom@kv.get', 'drop:5@kv.get', 'deny@invoke', 'deny@kv.get.answer', 'drop@kv.get#0', 'delay:x@ping'];
for (const text of bad) {
  t.test(`given ${text}, when it is read as a fault, then it is refused with what a fault is`, async (t) => {
    t.throws(() => parseFault(text), { code: 'invalid-params', details: { hint: /./ } });
  });
}

t.test('given faults, when they are read, then their parts are known', async (t) => {
  t.same(parseFault('delay@*'), { action: 'delay', value: 1000, step: '*', count: null });
  t.same(parseFault('delay:5@greeter.greet.answer#3'), { action: 'delay', value: 5, step: 'greeter.greet.answer', count: 3 });
  t.same(parseFault('drop@$/progress'), { action: 'drop', value: 0, step: '$/progress', count: null });
});
