import { chmod, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { scopes } from '../../protocol/scopes.ts';
import { createTokens } from '../../supervisor/tokens.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { openTempDatabase } from '../support/temp-database.ts';

async function prepare(t: Test) {
  const clock = createFakeClock();
  const database = await openTempDatabase(t, clock);
  const directory = join(t.testdirName, 'data');
  await mkdir(directory, { mode: 0o700 });
  const start = () => createTokens({ database, clock }); // what a new process knows
  const file = join(directory, 'admin.token');
  const read = async () => (await readFile(file, 'utf8')).trim();
  return { database, directory, file, read, start };
}

t.test('given the first start, when the admin is ensured, then the file holds a token for everything, for its owner only', async (t) => {
  const { database, directory, file, read, start } = await prepare(t);
  const tokens = start();

  t.same(await tokens.ensureAdmin(directory), { file, created: true });

  t.equal((await stat(file)).mode & 0o777, 0o600);
  t.match(await readFile(file, 'utf8'), /^lat_[A-Za-z0-9_-]{43}\n$/);
  t.match(await tokens.authenticate(await read()), { name: 'admin', scopes });
  t.same(await readdir(directory), ['admin.token']);
  t.match(await database.read.all('SELECT kind, actor FROM audit'), [{ kind: 'token.change', actor: null }]);
});

t.test('given a later start, when the admin is ensured, then nothing changes and nothing is wrong', async (t) => {
  const { directory, file, read, start } = await prepare(t);
  await start().ensureAdmin(directory);
  const before = await read();

  t.same(await start().ensureAdmin(directory), { file, created: false });

  t.equal(await read(), before);
});

t.test('given a link planted in its place, when the admin is ensured, then nothing is written through it', async (t) => {
  const { database, directory, file, start } = await prepare(t);
  const victim = join(directory, 'victim');
  await writeFile(victim, 'untouched');
  await symlink(victim, file);

  t.match(await start().ensureAdmin(directory), { file, created: false, problem: /not a plain file/ });

  t.equal(await readFile(victim, 'utf8'), 'untouched');
  t.equal(database.head().seq, 0);
});

t.test('given a link planted beside it, when the admin is ensured, then nothing is written through it', async (t) => {
  const { directory, file, read, start } = await prepare(t);
  const victim = join(directory, 'victim');
  await writeFile(victim, 'untouched');
  await symlink(victim, `${file}.new`);

  t.match(await start().ensureAdmin(directory), { created: true });

  t.equal(await readFile(victim, 'utf8'), 'untouched');
  t.ok(await start().authenticate(await read()));
});

t.test('given a file of unknown origin, when the admin is ensured, then it is left and said', async (t) => {
  const { database, directory, file, start } = await prepare(t);
  await writeFile(file, `lat_${'x'.repeat(43)}\n`, { mode: 0o600 });

  t.match(await start().ensureAdmin(directory), { created: false, problem: /token reset/ });

  t.equal(await readFile(file, 'utf8'), `lat_${'x'.repeat(43)}\n`);
  t.equal(database.head().seq, 0);
});

t.test('given a file that was removed, when the admin is ensured, then it is said and no second token is made', async (t) => {
  const { database, directory, file, start } = await prepare(t);
  await start().ensureAdmin(directory);
  await rm(file);

  t.match(await start().ensureAdmin(directory), { created: false, problem: /gone/ });

  t.equal(database.head().seq, 1);
});

t.test('given a file that others can read, when the admin is ensured, then it is said', async (t) => {
  const { directory, file, start } = await prepare(t);
  await start().ensureAdmin(directory);
  await chmod(file, 0o644);

  t.match(await start().ensureAdmin(directory), { created: false, problem: /chmod 600/ });
});

t.test('given a directory in its place, when the admin is ensured, then it is said', async (t) => {
  const { directory, file, start } = await prepare(t);
  await mkdir(file);

  t.match(await start().ensureAdmin(directory), { created: false, problem: String });
});

t.test('given another token that may manage tokens, when the file’s one is revoked and removed, then nothing is wrong', async (t) => {
  const { directory, file, read, start } = await prepare(t);
  const tokens = start();
  await tokens.ensureAdmin(directory);
  const admin = await tokens.authenticate(await read());
  await tokens.create({ name: 'mine', scopes: ['token:admin'] }, admin?.id ?? null);
  await tokens.revoke(admin?.id ?? '', null);
  await rm(file);

  t.same(await start().ensureAdmin(directory), { file, created: false });
});

t.test('given a crash after the token was committed, when the admin is ensured again, then the file gets its name', async (t) => {
  const { database, directory, file, start } = await prepare(t);
  await start().ensureAdmin(directory);
  await rename(file, `${file}.new`); // so it is between the commit and the name

  t.same(await start().ensureAdmin(directory), { file, created: false });

  t.ok(await start().authenticate((await readFile(file, 'utf8')).trim()));
  t.same(await readdir(directory), ['admin.token']);
  t.equal(database.head().seq, 1);
});

t.test('given a crash before the token was committed, when the admin is ensured again, then it begins anew', async (t) => {
  const { directory, file, read, start } = await prepare(t);
  await writeFile(`${file}.new`, `lat_${'x'.repeat(43)}\n`, { mode: 0o600 });

  t.match(await start().ensureAdmin(directory), { created: true });

  t.ok(await start().authenticate(await read()));
  t.same(await readdir(directory), ['admin.token']);
});

t.test('given a lost token, when it is reset, then the old one is refused at once and the new one is in the file', async (t) => {
  const { database, directory, file, read, start } = await prepare(t);
  const tokens = start();
  await tokens.ensureAdmin(directory);
  const old = await read();

  t.same(await tokens.resetAdmin(directory, 't-9'), { file, created: true });

  t.equal(await tokens.authenticate(old), null);
  t.equal(await start().authenticate(old), null);
  t.match(await tokens.authenticate(await read()), { name: 'admin' });
  t.equal((await stat(file)).mode & 0o777, 0o600);
  t.match(await database.read.all('SELECT actor, summary FROM audit ORDER BY seq'), [{}, { actor: 't-9', summary: /"change":"reset"/ }]);
  t.same(await start().ensureAdmin(directory), { file, created: false });
});

t.test('given a reset that was cut off before the file got its name, when the service starts, then the reset is finished', async (t) => {
  const { directory, file, read, start } = await prepare(t);
  await start().ensureAdmin(directory);
  const old = await readFile(file, 'utf8');
  await start().resetAdmin(directory, null);
  await rename(file, `${file}.new`);
  await writeFile(file, old, { mode: 0o600 });

  t.same(await start().ensureAdmin(directory), { file, created: false });

  t.ok(await start().authenticate(await read()));
  t.same(await readdir(directory), ['admin.token']);
});

t.test('given a link in its place, when the token is reset, then the link is replaced and not followed', async (t) => {
  const { directory, file, read, start } = await prepare(t);
  const victim = join(directory, 'victim');
  await writeFile(victim, 'untouched');
  await symlink(victim, file);

  await start().resetAdmin(directory, null);

  t.equal(await readFile(victim, 'utf8'), 'untouched');
  t.ok(await start().authenticate(await read()));
});

t.test('given a data directory that is gone, when the token is reset, then the error names no path', async (t) => {
  const { directory, start } = await prepare(t);
  await rm(directory, { recursive: true });

  const error = await start()
    .resetAdmin(directory, null)
    .catch((thrown: unknown) => thrown);

  t.match(error, { code: 'storage-unavailable', details: { hint: String } });
  t.notMatch(String(error), t.testdirName);
});
