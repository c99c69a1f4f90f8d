import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { buildDisk, createDisk, whyNoDisk } from '../support/disk.ts';
import { testFolder } from '../support/test-folder.ts';

const library = whyNoDisk ? '' : buildDisk(testFolder(t));

/** Runs the script as a process of its own on the disk; it ends by kill -9. */
function openDisk(t: Test, journal = true) {
  const root = join(testFolder(t), 'root');
  mkdirSync(root);
  const disk = createDisk({ library, root, journal });
  t.teardown(() => disk.close());
  function run(script: string): string {
    const imports = "import fs from 'node:fs'; import fsp from 'node:fs/promises'; import sqlite3 from 'sqlite3';";
    const fault = 'const codeOf = (act) => { try { act(); return "none"; } catch (error) { return error.code; } };';
    const text = `${imports}\n${fault}\nprocess.chdir(${JSON.stringify(root)});\n${script}\nprocess.kill(process.pid, 'SIGKILL');`;
    const only = Object.entries(disk.env).map(([name, value]) => `${name}=${value}`);
    const args = ['-i', ...only, process.execPath, '--input-type=module', '-e', text];
    const { stdout, stderr, signal } = spawnSync('/usr/bin/env', args, { encoding: 'utf8', cwd: join(import.meta.dirname, '..', '..') });
    if (signal !== 'SIGKILL') throw new Error(`it was not killed at its end:\n${stderr}`);
    return stdout;
  }
  const files = () =>
    Object.fromEntries(
      readdirSync(root, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => [
          join(entry.parentPath, entry.name).slice(root.length + 1),
          readFileSync(join(entry.parentPath, entry.name), 'utf8'),
        ])
        .sort(),
    );
  return { root, disk, run, files };
}

const sync = (path: string): string => `{ const fd = fs.openSync('${path}', 'r'); fs.fsyncSync(fd); fs.closeSync(fd); }`;

const cuts: [name: string, before: Record<string, string>, script: string, after: Record<string, string>][] = [
  [
    'bytes written over others without a sync',
    { a: 'old text' },
    "const fd = fs.openSync('a', 'r+'); fs.writeSync(fd, 'NEW', 4);",
    { a: 'old text' },
  ],
  [
    'bytes synced and bytes after that',
    { a: '' },
    "const fd = fs.openSync('a', 'r+'); fs.writeSync(fd, '12'); fs.fsyncSync(fd); fs.writeSync(fd, '34');",
    { a: '12' },
  ],
  ['a synced file in a folder that is not', {}, "fs.writeFileSync('a', 'x', { flush: true });", {}],
  ['a synced file in a synced folder', {}, `fs.writeFileSync('a', 'x', { flush: true }); ${sync('.')}`, { a: 'x' }],
  ['a name that is synced over bytes that are not', {}, `fs.writeFileSync('a', 'x'); ${sync('.')}`, { a: '' }],
  ['a file cut to nothing', { a: 'old' }, "fs.writeFileSync('a', 'new');", { a: 'old' }],
  ['a file that is replaced', { a: 'old' }, "fs.writeFileSync('b', 'new', { flush: true }); fs.renameSync('b', 'a');", { a: 'old' }],
  [
    'a file that is replaced, durably',
    { a: 'old' },
    `await fsp.writeFile('b', 'new', { flush: true }); await fsp.rename('b', 'a'); ${sync('.')}`,
    { a: 'new' },
  ],
  [
    'a folder that is removed with all in it',
    { 'd/a': '1', 'd/e/b': '2' },
    "fs.rmSync('d', { recursive: true });",
    { 'd/a': '1', 'd/e/b': '2' },
  ],
  [
    'a folder that is filled and named, its parent synced',
    {},
    `fs.mkdirSync('t'); fs.writeFileSync('t/a', 'x', { flush: true }); fs.renameSync('t', 'd'); ${sync('.')}`,
    {},
  ],
  [
    'a folder that is filled, synced and named',
    {},
    `fs.mkdirSync('t'); fs.writeFileSync('t/a', 'x', { flush: true }); ${sync('t')} fs.renameSync('t', 'd'); ${sync('.')}`,
    { 'd/a': 'x' },
  ],
];
for (const [name, before, script, after] of cuts)
  t.test(`given ${name}, when the power is cut, then the disk holds what was synced`, { skip: whyNoDisk }, async (t) => {
    const { root, disk, run, files } = openDisk(t);
    for (const [path, text] of Object.entries(before)) {
      mkdirSync(join(root, path, '..'), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    run(script);

    disk.cutPower();

    t.same(files(), after);
  });

t.test('given a database with a transaction that is not synced, when the power is cut, then it is gone', { skip: whyNoDisk }, async (t) => {
  const { disk, run, root } = openDisk(t);
  const sql = (synchronous: string, insert: string) => `
    const db = await new Promise((done) => { const opened = new sqlite3.Database('l.db', () => done(opened)); });
    await new Promise((done) => db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; CREATE TABLE IF NOT EXISTS n (n); ${insert}", done));
    process.stdout.write(await new Promise((done) => db.all('SELECT n FROM n', (_error, rows) => done(rows.map(({ n }) => n).join()))));`;
  t.equal(run(sql('FULL', 'INSERT INTO n VALUES (1);')), '1');
  disk.cutPower();
  t.equal(run(sql('OFF', 'INSERT INTO n VALUES (2);')), '1,2', 'the process itself sees it');
  const cut = disk.cutPower();

  t.equal(run(sql('FULL', '')), '1');
  t.ok(cut.unsynced > 0);
  t.ok(existsSync(join(root, 'l.db')));
});

t.test(
  'given rules, when their calls come, then those fail, others are late, and a cleared rule does nothing',
  { skip: whyNoDisk },
  async (t) => {
    const { disk, run } = openDisk(t, false);
    disk.set({ op: 'write', error: 'ENOSPC', match: '/full', first: 2, count: 1 });
    disk.set({ op: 'sync', error: 'EIO', delayMs: 1 }, 1);
    disk.set({ op: 'any', error: 'EROFS', match: '/frozen' }, 2);

    const seen = run(`const fd = fs.openSync('full', 'w'); const codes = [];
    for (let n = 0; n < 3; n++) codes.push(codeOf(() => fs.writeSync(fd, 'x')));
    codes.push(codeOf(() => fs.fsyncSync(fd)), codeOf(() => fs.mkdirSync('frozen')), codeOf(() => fs.renameSync('full', 'frozen')));
    process.stdout.write(codes.join());`);
    disk.clear(1);
    const later = run("const fd = fs.openSync('full', 'w'); process.stdout.write(codeOf(() => fs.fsyncSync(fd)));");

    t.equal(seen, 'none,ENOSPC,none,EIO,EROFS,EROFS');
    t.same([disk.counted(0), disk.counted(1).hit], [{ seen: 3, hit: 1 }, 1]);
    t.equal(later, 'none');
  },
);
