import { chmodSync, existsSync, lstatSync, mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { createRealClock } from '../../../supervisor/clock.ts';
import type { Outcomes } from '../../../supervisor/sandbox/canary.ts';
import { openProbeTarget, removeStaleTargets } from '../../../supervisor/sandbox/probe-target.ts';
import { blocked } from '../../support/probe-findings.ts';
import { testFolder } from '../../support/test-folder.ts';

const clock = createRealClock();
const open = (t: Test, uid: number | null = null) => openProbeTarget(uid, { clock, where: testFolder(t) });

/** Says something to a port, and comes back when the other side has closed. */
const say = (port: number, words: string) =>
  new Promise<void>((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(words));
    socket.resume().on('close', resolve).on('error', reject);
  });

t.test('given a connection that says the nonce, when the target is looked at, then it was reached', async (t) => {
  const target = await open(t);
  await say(target.facts.port, target.facts.nonce);
  t.match(await target.look(blocked), { reached: true });
  await target.close();
});

t.test('given connections that say anything else, when the target is looked at, then it was not, and it still answers', async (t) => {
  const target = await open(t);
  for (const words of ['x'.repeat(32), target.facts.nonce.slice(1).padEnd(32, 'x'), 'long '.repeat(10_000)])
    await say(target.facts.port, words);
  const refused: Outcomes = { ...blocked, 'reach-loopback': 'ECONNREFUSED' };
  t.same(await target.look(refused), { reached: false, fault: null });
  await target.close();
});

t.test('given more strangers than it listens to, when a refusal depends on it, then that proves nothing', async (t) => {
  const target = await open(t);
  for (let n = 0; n < 256; n++) await say(target.facts.port, 'y'.repeat(32));
  t.match(await target.look({ ...blocked, 'reach-loopback': 'ECONNREFUSED' }), { reached: false, fault: /port/ });
  t.match(await target.look({ ...blocked, 'reach-loopback': 'EAFNOSUPPORT' }), { fault: null }, 'no packet left the cage');
  await target.close();
});

t.test('given a file with the nonce in it, when the target is looked at, then it was reached', async (t) => {
  const target = await open(t);
  writeFileSync(target.facts.writable, target.facts.nonce);
  t.match(await target.look(blocked), { reached: true });
  await target.close();
});

function putAnother(path: string): void {
  renameSync(path, `${path}x`);
  writeFileSync(path, '');
  chmodSync(path, 0o600);
}

for (const [name, change] of [
  ['that is gone', (path: string) => rmSync(path)],
  ['in whose place another lies', putAnother],
  ['that is closed to others', (path: string) => chmodSync(path, 0o400)],
] as const) {
  t.test(`given a file ${name}, when the target is looked at, then that it was not written proves nothing`, async (t) => {
    const target = await open(t);
    change(target.facts.writable);
    t.match(await target.look(blocked), { reached: false, fault: /file/ });
    await target.close();
  });
}

t.test('given a target, when others look for it, then its file can be written only by who knows its name, and it goes', async (t) => {
  for (const [uid, folderMode, fileMode] of [
    [null, 0o700, 0o600],
    [60_578, 0o711, 0o666],
  ] as const) {
    const target = await open(t, uid);
    const folder = dirname(target.facts.writable);
    t.equal(lstatSync(folder).mode & 0o777, folderMode);
    t.equal(lstatSync(target.facts.writable).mode & 0o777, fileMode);
    await target.close();
    t.notOk(existsSync(folder));
  }
});

t.test('given what probes left, when the next one begins, then what is old and ours goes, and nothing else', async (t) => {
  const where = testFolder(t, { 'lattice-probe-file': '', victim: { kept: '' } });
  const make = (name: string, minutes: number) => {
    mkdirSync(join(where, name));
    writeFileSync(join(where, name, 'left'), '');
    utimesSync(join(where, name), new Date(), new Date(Date.now() - minutes * 60_000));
  };
  make('lattice-probe-old', 11);
  make('lattice-probe-new', 9);
  make('other-old', 11);
  symlinkSync(join(where, 'victim'), join(where, 'lattice-probe-link'));

  chmodSync(where, 0o777); // here somebody else could put a link in its place
  await removeStaleTargets(false, Date.now(), [where]);
  t.ok(existsSync(join(where, 'lattice-probe-old')));

  chmodSync(where, 0o1777);
  await removeStaleTargets(false, Date.now(), [where]);
  const left = ['lattice-probe-old', 'lattice-probe-new', 'other-old', 'lattice-probe-file', 'lattice-probe-link', 'victim/kept'];
  t.same(
    left.filter((name) => existsSync(join(where, name))),
    left.slice(1),
  );
});
