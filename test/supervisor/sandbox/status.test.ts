import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  createStatusReader,
  findPluginProcess,
  identifyProcess,
  isTied,
  parentOf,
  signalProcess,
} from '../../../supervisor/sandbox/status.ts';
import { testFolder } from '../../support/test-folder.ts';

const statLine = (pid: number, name: string, state: string, start: number) =>
  `${pid} (${name}) ${state} ${Array.from({ length: 18 }, (_, index) => index).join(' ')} ${start} 0 0\n`;

t.test('given what bwrap writes, when it comes in pieces, then pid and exit code are read', async (t) => {
  const reader = createStatusReader();
  const text = '{ "child-pid": 4711, "net-namespace": 4026532183 }\n{ "exit-code": 3 }\n';

  for (const character of text) reader.push(Buffer.from(character));

  t.same(reader.status, { childPid: 4711, exitCode: 3 });
});

t.test('given a monitor that was killed, when its reports end torn, then no exit code is known', async (t) => {
  const reader = createStatusReader();
  reader.push('{ "child-pid": 4711 }\n{ "exit-co');
  t.same(reader.status, { childPid: 4711, exitCode: null });
});

t.test('given rubbish and floods, when they are pushed, then nothing is thrown and memory stays bounded', async (t) => {
  const reader = createStatusReader();
  reader.push('null\n[]\n"child-pid"\n{"child-pid": "7"}\n{"child-pid": 1.5}\n');
  for (let count = 0; count < 1000; count++) reader.push('x'.repeat(4096));
  t.same(reader.status, { childPid: null, exitCode: null });
});

t.test('given a process whose name holds brackets and spaces, when it is identified, then its start time is the right field', async (t) => {
  const root = testFolder(t, { '12': { stat: statLine(12, 'a) R 1 2 (b', 'S', 987654) } });
  t.same(identifyProcess(12, root), { pid: 12, startTime: '987654' });
});

t.test('given a zombie, a missing process and a broken line, when they are identified, then there is nobody', async (t) => {
  const root = testFolder(t, { '12': { stat: statLine(12, 'gone', 'Z', 1) }, '13': { stat: 'nonsense' } });
  for (const pid of [12, 13, 14]) t.equal(identifyProcess(pid, root), undefined);
});

t.test('given the init of a sandbox, when its plugin is looked for, then it is the first child', async (t) => {
  const root = testFolder(t, { '20': { task: { '20': { children: '21 22 ' } } }, '21': { stat: statLine(21, 'node', 'R', 5) } });
  t.same(findPluginProcess(20, root), { pid: 21, startTime: '5' });
  t.equal(findPluginProcess(30, root), undefined);
});

t.test('given an init without children, when its plugin is looked for, then there is none', async (t) => {
  const root = testFolder(t, { '20': { task: { '20': { children: '' } } } });
  t.equal(findPluginProcess(20, root), undefined);
});

t.test('given a process, when its parent is asked for, then it is the process’s own word, whatever its name', async (t) => {
  const root = testFolder(t, { '12': { stat: '12 (a) S 99 (b) S 20 12 12 0 ' } });
  t.equal(parentOf(12, root), 20);
  t.equal(parentOf(13, root), undefined);
});

t.test('given the init of a sandbox, when its filter does not show yet, then it is not tied', async (t) => {
  const status = (mode: number) => ({ status: `Name:\tbwrap\nSeccomp:\t${mode}\nSeccomp_filters:\t2\n` });
  const root = testFolder(t, { '20': status(0), '21': status(2) });
  t.same(
    [20, 21, 22].map((pid) => isTied(pid, root)),
    [false, true, false],
  );
});

t.test('given a pid that another process has by now, when it is signalled, then it is not', async (t) => {
  const root = testFolder(t);
  mkdirSync(join(root, '21'));
  writeFileSync(join(root, '21', 'stat'), statLine(21, 'node', 'R', 5));
  const sent: unknown[] = [];
  const kill = (pid: number, signal?: string | number): true => {
    sent.push([pid, signal]);
    return true;
  };

  const before = signalProcess({ pid: 21, startTime: '5' }, 'SIGTERM', root, kill);
  writeFileSync(join(root, '21', 'stat'), statLine(21, 'other', 'R', 6));
  const after = signalProcess({ pid: 21, startTime: '5' }, 'SIGKILL', root, kill);

  t.same([before, after], [true, false]);
  t.same(sent, [[21, 'SIGTERM']]);
  t.equal(signalProcess({ pid: 1, startTime: '5' }, 'SIGKILL', root, kill), false, 'never init');
  t.equal(signalProcess({ pid: -1, startTime: '5' }, 'SIGKILL', root, kill), false, 'never everybody');
});

t.test('given a real process, when it is identified and signalled, then it ends by that signal', async (t) => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  await once(child, 'spawn');
  const target = identifyProcess(child.pid ?? 0);
  t.ok(target);
  if (!target) return;

  t.equal(signalProcess(target, 'SIGKILL'), true);
  const [, signal] = await once(child, 'exit');

  t.equal(signal, 'SIGKILL');
  t.equal(signalProcess(target, 'SIGKILL'), false, 'it has gone');
});
