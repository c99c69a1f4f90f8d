import t from 'tap';
import { type Mutated, prepareMutations } from '../../support/mutate-database.ts';
import { testFolder } from '../../support/test-folder.ts';

const count = 150; // `npm run torture` does more

t.test('given a database or its log changed at random, when it is opened, then it is found, or nothing but a value differs', async (t) => {
  const { run } = await prepareMutations(testFolder(t));
  const seen: Mutated[] = [];

  for (let seed = 1; seed <= count; seed++) seen.push(await run(seed));

  t.same(
    seen.filter(({ outcome }) => outcome === 'MISSED'),
    [],
  );
  const number = (wanted: string) => seen.filter(({ outcome }) => outcome === wanted).length;
  t.ok(number('set aside') > count / 3, 'most of what was changed is set aside, every byte of it kept');
  t.ok(number('found by audit verify') > 0);
  t.ok(number('a value changed') < count / 20);
});
