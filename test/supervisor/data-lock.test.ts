import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { lockDataDir } from '../../supervisor/data-lock.ts';
import { testFolder } from '../support/test-folder.ts';

const holder = join(import.meta.dirname, '..', 'support', 'hold-lock.ts');

t.test('given another process that holds the lock, when it is killed, then the lock is free at once', async (t) => {
  const directory = testFolder(t);
  const child = spawn(process.execPath, [holder, directory], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  await t.rejects(lockDataDir(directory), { code: 'conflict', details: { rule: 'data-directory-in-use', hint: String } });

  child.kill('SIGKILL');
  await once(child, 'exit');

  const lock = await lockDataDir(directory);
  await lock.release();
});

t.test('given a lock of this process, when it is asked for again, then it is refused and still held', async (t) => {
  const directory = testFolder(t);
  const lock = await lockDataDir(directory);
  await t.rejects(lockDataDir(directory), { code: 'conflict' });
  const child = spawn(process.execPath, [holder, directory], { stdio: ['pipe', 'ignore', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));

  const [code] = await once(child, 'exit');

  t.not(code, 0);
  await lock.release();
});

t.test('given a released lock, when it is asked for, then it is granted', async (t) => {
  const directory = testFolder(t);
  await (await lockDataDir(directory)).release();

  await (await lockDataDir(directory)).release();

  t.pass();
});

t.test('given two data directories, when both are locked, then neither minds', async (t) => {
  const directory = testFolder(t, { one: {}, two: {} });

  const locks = await Promise.all(['one', 'two'].map((name) => lockDataDir(join(directory, name))));

  for (const lock of locks) await lock.release();
  t.equal((await stat(join(directory, 'one', 'lattice.lock'))).mode & 0o777, 0o600);
});

t.test('given a directory that is not there, when it is locked, then the error says what to check', async (t) => {
  await t.rejects(lockDataDir(join(testFolder(t), 'absent')), { code: 'storage-unavailable', details: { hint: String } });
});

t.test('given something else under the name of the lock, when it is locked, then that is refused', async (t) => {
  const directory = testFolder(t);
  await writeFile(join(directory, 'lattice.lock'), 'notes of the operator'.repeat(50));

  await t.rejects(lockDataDir(directory), { code: 'storage-unavailable' });
});
