import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { bin, startWithCli } from './run-lattice.ts';

t.test('given a head kept elsewhere, when the audit is verified against it, then it holds that row or not', async (t) => {
  const app = await startWithCli(t);
  const kept = join(app.dataDir, 'kept.head');
  await writeFile(kept, (await app.lattice(['audit', 'head'])).stdout);
  await app.database.append({ kind: 'service.start' });

  t.match(await app.lattice(['audit', 'verify', '--against', kept]), { exitCode: 0, stdout: /complete up to row 2/ });
  await writeFile(kept, (await app.lattice(['audit', 'head', '--json'])).stdout);
  t.match(await app.lattice(['audit', 'verify', '--against', kept]), { exitCode: 0 });
  await writeFile(kept, `1 ${'f'.repeat(64)}\n`);
  t.match(await app.lattice(['audit', 'verify', '--against', kept]), { exitCode: 5, stderr: /row 1: different from the recorded head/ });
  await writeFile(kept, `99 ${'f'.repeat(64)}\n`);
  t.match(await app.lattice(['audit', 'verify', '--against', kept]), { exitCode: 5, stderr: /shorter than the recorded head/ });
  await writeFile(kept, 'no head');
  t.match(await app.lattice(['audit', 'verify', '--against', kept]), { exitCode: 2, stderr: /does not hold a head/ });
  t.match(await app.lattice(['audit', 'verify', '--against', join(app.dataDir, 'absent')]), { exitCode: 2 });
});

t.test('given terms, when rows are listed by them, then those are shown, and a term that is none is named', async (t) => {
  const app = await startWithCli(t);
  await app.database.append({ kind: 'host.decision', plugin: 'example.a', method: 'kv.put', verdict: 'deny', rule: 'quota-keys' });
  await app.database.append({ kind: 'host.decision', plugin: 'example.b', method: 'kv.put', verdict: 'deny' });

  for (const args of [
    ['plugin:example.a', 'verdict:deny'],
    ['list', 'rule:quota-keys'],
    ['--rule', 'quota-keys'],
  ]) {
    const { exitCode, stdout } = await app.verb(['audit', ...args]);
    t.match({ exitCode, stdout }, { exitCode: 0, stdout: /example\.a/ }, args.join(' '));
    t.notMatch(stdout, /example\.b/);
  }
  t.match(await app.verb(['audit', 'colour:red']), { exitCode: 2, stderr: /colour:red[\s\S]*the keys are plugin/ });
});

t.test('given far more rows than fit the heap, when they are exported, then each comes once and in order', async (t) => {
  const app = await startWithCli(t);
  const summary = JSON.stringify({ text: 'x'.repeat(2000) });
  const count = 40_000; // 80 MiB of text, for a heap of 40
  for (let done = 0; done < count; done += 2000)
    await Promise.all(Array.from({ length: 2000 }, () => app.database.append({ kind: 'api.change', summary })));
  const last = app.database.head().seq;

  const child = spawn('/usr/bin/env', [
    '-i',
    `LATTICE_DATA_DIR=${app.dataDir}`,
    process.execPath,
    '--max-old-space-size=40',
    bin,
    'audit',
    'export',
  ]);
  let [lines, expected, rest] = [0, 1, ''];
  for await (const chunk of child.stdout) {
    const parts = (rest + String(chunk)).split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) {
      lines++;
      if (line.startsWith(`{"seq":${expected},`)) expected++;
    }
  }

  t.equal(lines, last);
  t.equal(expected, last + 1);
});
