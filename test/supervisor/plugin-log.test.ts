import { mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createPluginLog } from '../../supervisor/plugin-log.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createQuietLog } from '../support/quiet-log.ts';
import { testFolder } from '../support/test-folder.ts';

const open = (folder: string, runBytes = 100_000, runs = 3) =>
  createPluginLog({ folder, runBytes, runs, clock: createFakeClock(), log: createQuietLog() });

t.test('given lines of several runs, when one is read, then it is the newest, or the one asked for, in order', async (t) => {
  const log = open(testFolder(t));
  log.write(1, 'stderr', 'info', 'old');
  for (let n = 0; n < 100; n++) log.write(2, 'plugin', 'info', `line ${n}`);
  const newest = await log.read({ last: 3 });
  t.match(newest, { run: 2, runs: [1, 2], lines: [{ text: 'line 97' }, { text: 'line 98' }, { text: 'line 99', seq: 100, run: 2 }] });
  t.match(await log.read({ run: 1, last: 10 }), { run: 1, lines: [{ text: 'old', source: 'stderr' }] });
  t.match(await log.read({ run: 9, last: 10 }), { run: null, lines: [] });
});

t.test('given more than a run may keep, when it is written, then the rest is dropped and counted', async (t) => {
  const log = open(testFolder(t), 2000);
  for (let n = 0; n < 1000; n++) log.write(1, 'stderr', 'info', 'x'.repeat(50));
  const { lines, dropped_bytes } = await log.read({ last: 10_000 });
  t.ok(lines.length > 5 && lines.length < 30);
  t.ok(dropped_bytes > 50_000);
});

t.test('given many runs, when they are counted, then only the newest are kept', async (t) => {
  const folder = testFolder(t);
  const log = open(folder);
  for (let run = 1; run <= 6; run++) {
    log.write(run, 'stderr', 'info', 'hello');
    await log.flush();
  }
  t.equal(readdirSync(folder).length, 3);
});

t.test('given a log from before, when it is opened again, then it is still read, and half a line of a crash is left out', async (t) => {
  const folder = testFolder(t, {
    'run-000000007.ndjson': '{"run":7,"seq":1,"time":"x","source":"stderr","level":"info","text":"kept"}\n{"run":7,"se',
  });
  t.match(await open(folder).read({ last: 5 }), { run: 7, lines: [{ text: 'kept' }] });
});

t.test('given a follower, when lines come, then it hears each once, until it leaves', async (t) => {
  const log = open(testFolder(t));
  const heard: string[] = [];
  const leave = log.follow((line) => heard.push(line.text));
  log.write(1, 'plugin', 'info', 'a\nb');
  leave();
  log.write(1, 'plugin', 'info', 'c');
  t.same(heard, ['a\nb']);
  t.equal((await log.read({ last: 5 })).lines.length, 2, 'a line feed in a message makes no second line');
});

t.test('given a run that lost lines, when the next begins, then the loss stands in its log, also for who opens it later', async (t) => {
  const folder = testFolder(t);
  const log = open(folder, 2000);
  for (let n = 0; n < 100; n++) log.write(1, 'stderr', 'info', 'x'.repeat(50));
  log.write(2, 'stderr', 'info', 'next');
  const last = async () => (await open(folder).read({ run: 1, last: 1 })).lines[0];
  await eventually(async () => (await last())?.source === 'supervisor');
  t.match((await last())?.text, /\d+ bytes of this run were not kept/);
});

t.test('given two runs that speak in turn, as in an upgrade, when each is read, then it holds its own lines', async (t) => {
  const log = open(testFolder(t));
  log.write(5, 'stderr', 'info', 'old 1');
  log.write(7, 'stderr', 'info', 'restarted old');
  log.write(6, 'stderr', 'info', 'new 1');
  log.write(5, 'stderr', 'info', 'old 2');
  log.write(0, 'supervisor', 'warn', 'of no run');
  const texts = async (run: number) => (await log.read({ run, last: 9 })).lines.map(({ text, run: of }) => `${of} ${text}`);
  t.same(await texts(5), ['5 old 1', '5 old 2']);
  t.same(await texts(6), ['6 new 1']);
  t.same(await texts(7), ['7 restarted old', '7 of no run'], 'what is of no run goes to the newest');
});

t.test('given a disk that takes half a line, when it takes lines again, then only that one is lost', async (t) => {
  const folder = testFolder(t);
  const serviceLog = createQuietLog();
  const log = createPluginLog({ folder, runBytes: 100_000, runs: 3, clock: createFakeClock(), log: serviceLog });
  log.write(1, 'stderr', 'info', 'before');
  await log.flush();
  const file = join(folder, readdirSync(folder)[0] ?? '');
  const whole = readFileSync(file);
  rmSync(file);
  mkdirSync(file); // now every write fails
  for (const text of ['lost', 'lost too']) {
    log.write(1, 'stderr', 'info', text);
    await log.flush();
  }
  rmdirSync(file);
  writeFileSync(file, Buffer.concat([whole, Buffer.from('{"run":1,"se')]));
  log.write(1, 'stderr', 'info', 'after');

  const { lines, dropped_bytes } = await log.read({ last: 10 });

  t.same(
    lines.map(({ text }) => text),
    ['before', 'after'],
  );
  t.ok(dropped_bytes > 0);
  t.equal(serviceLog.events.length, 1, 'told once');
});
