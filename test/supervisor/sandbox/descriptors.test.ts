import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { createDescriptorList, openDescriptors } from '../../../supervisor/sandbox/descriptors.ts';
import { testFolder } from '../../support/test-folder.ts';

const row = (flags: string) => `pos:\t0\nflags:\t${flags}\nmnt_id:\t16\nino:\t1030\n`;

t.test('given descriptors with and without close-on-exec, when they are listed, then only those a child would inherit are', async (t) => {
  const folder = testFolder(t, {
    '0': row('0100000'),
    '2': row('0100001'),
    '3': row('02100000'),
    '7': row('0100000'),
    '10': row('02'),
    '251': row('0100001'),
  });
  t.same(openDescriptors(folder), [7, 10, 251]);
});

t.test('given no procfs, when descriptors are listed, then there are none', async (t) => {
  t.same(openDescriptors('/nonexistent'), []);
});

t.test('given a file that Node opened, when descriptors are listed, then it is not among them', async (t) => {
  const fd = openSync('/dev/null', 'r');
  t.notOk(openDescriptors().includes(fd));
  closeSync(fd);
});

t.test('given a descriptor that the parent left open, when the service lists its own, then it is found', async (t) => {
  const module = fileURLToPath(new URL('../../../supervisor/sandbox/descriptors.ts', import.meta.url));
  const script = `import(process.argv[1]).then((m) => console.log(JSON.stringify(m.openDescriptors())))`;
  const stdio = Array.from({ length: 41 }, (_, fd) => (fd === 40 || fd === 1 ? ('pipe' as const) : ('ignore' as const)));
  const child = spawn(process.execPath, ['-e', script, module], { stdio });
  let said = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  await once(child, 'close');
  t.ok((JSON.parse(said) as number[]).includes(40));
});

t.test(
  'given a look that takes 10 ms, when launches follow each other, then the next look is a second later, and sees what is new',
  async (t) => {
    let nowMs = 0;
    let open = [7];
    const descriptors = createDescriptorList({ monotonicMs: () => nowMs }, () => {
      nowMs += 10;
      return open;
    });

    t.same(descriptors(), [7]);
    open = [7, 9];
    nowMs += 999;
    t.same(descriptors(), [7]);
    nowMs += 1;
    t.same(descriptors(), [7, 9]);
  },
);

t.test('given a look that takes no time, when launches follow each other, then each looks', async (t) => {
  let looks = 0;
  const descriptors = createDescriptorList({ monotonicMs: () => 0 }, () => [++looks]);

  t.same([descriptors(), descriptors()], [[1], [2]]);
});
