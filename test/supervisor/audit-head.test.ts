import { readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createHeadFile, readHeadFile } from '../../supervisor/audit-head.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';
import { createQuietLog } from '../support/quiet-log.ts';
import { openTempDatabase } from '../support/temp-database.ts';
import { testFolder } from '../support/test-folder.ts';

async function prepare(t: Test) {
  const clock = createFakeClock();
  const database = await openTempDatabase(t, clock);
  return { clock, database, log: createQuietLog(), file: join(t.testdirName, 'audit.head') };
}

/** Lets the file follow: its writing takes turns of the event loop, however many the disk needs. */
async function advanceUntil(clock: FakeClock, reached: () => Promise<boolean>): Promise<void> {
  while (!(await reached())) await clock.advance(100);
}

t.test('given rows, when the head file is stopped, then it holds the last one, for its owner only', async (t) => {
  const { file, ...deps } = await prepare(t);
  const headFile = createHeadFile({ file, ...deps });
  await deps.database.append({ kind: 'service.start' });

  await headFile.stop();

  t.same(await readHeadFile(file), deps.database.head());
  t.equal((await stat(file)).mode & 0o777, 0o600);
  t.equal(deps.clock.pending(), 0);
});

t.test('given a running service, when time goes on, then the file follows without being asked', async (t) => {
  const { file, ...deps } = await prepare(t);
  const headFile = createHeadFile({ file, ...deps });
  t.teardown(() => headFile.stop());
  await deps.database.append({ kind: 'service.start' });

  await advanceUntil(deps.clock, async () => (await readHeadFile(file))?.seq === 1);

  t.same(await readHeadFile(file), deps.database.head());
});

t.test('given a table that lost its last rows, when the service starts, then the recorded head stays as evidence', async (t) => {
  const { file, ...deps } = await prepare(t);
  await deps.database.append({ kind: 'service.start' });
  const evidence = JSON.stringify({ seq: 99, hash: 'a'.repeat(64) });
  await writeFile(file, evidence);

  const headFile = createHeadFile({ file, ...deps });
  await headFile.stop();

  t.equal(await readFile(file, 'utf8'), evidence);
  t.match(deps.log.events, [{ level: 'error', event: 'audit.head.lost', fields: { recorded: 99, present: 1, hint: String } }]);
});

t.test('given a table whose row differs from the recorded head, when the service starts, then the head stays', async (t) => {
  const { file, ...deps } = await prepare(t);
  await deps.database.append({ kind: 'service.start' });
  await deps.database.append({ kind: 'service.stop' });
  await writeFile(file, JSON.stringify({ seq: 1, hash: 'a'.repeat(64) }));

  await createHeadFile({ file, ...deps }).stop();

  t.same(await readHeadFile(file), { seq: 1, hash: 'a'.repeat(64) });
});

t.test('given a directory that cannot be written, when the head is due, then a warning says so and the service goes on', async (t) => {
  const { file, ...deps } = await prepare(t);
  const headFile = createHeadFile({ ...deps, file: join(file, 'absent', 'audit.head') });
  await deps.database.append({ kind: 'service.start' });

  await headFile.stop();

  t.match(deps.log.events[0], { level: 'warn', event: 'audit.head.failed' });
});

t.test('given a link beside the file, when the head is written, then the link is not followed', async (t) => {
  const { file, ...deps } = await prepare(t);
  await writeFile(`${file}.victim`, 'untouched');
  await symlink(`${file}.victim`, `${file}.new`);
  await deps.database.append({ kind: 'service.start' });

  await createHeadFile({ file, ...deps }).stop();

  t.equal(await readFile(`${file}.victim`, 'utf8'), 'untouched');
  t.same(await readHeadFile(file), deps.database.head());
});

for (const text of ['', '{"seq":1', '[]', 'null', '{"seq":"1","hash":"a"}', JSON.stringify({ seq: 1, hash: 'A'.repeat(64) })]) {
  t.test(`given the head file ${JSON.stringify(text.slice(0, 20))}, when it is read, then it is refused`, async (t) => {
    const file = join(testFolder(t, { 'audit.head': text }), 'audit.head');

    await t.rejects(readHeadFile(file), { code: 'storage-unavailable', details: { hint: String } });
  });
}

t.test('given no head file, when it is read, then there is none', async (t) => {
  const file = join(testFolder(t), 'audit.head');
  await rm(file, { force: true });

  t.equal(await readHeadFile(file), null);
});
