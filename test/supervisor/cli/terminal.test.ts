import { accessSync, constants } from 'node:fs';
import t from 'tap';
import { startWithCli } from './run-lattice.ts';

const hasScript = ['/usr/bin/script', '/bin/script'].some((file) => {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
});
const only = hasScript ? {} : { skip: 'there is no `script` command to make a terminal with' };
const sequence = '\u001b[';

t.test('given a terminal, when the list is printed, then in colour, and without with NO_COLOR, TERM=dumb or a pipe', only, async (t) => {
  const app = await startWithCli(t);
  t.match((await app.onTerminal(['plugins', 'list'])).stdout, sequence);
  t.notMatch((await app.onTerminal(['plugins', 'list'], '', { NO_COLOR: '1' })).stdout, sequence);
  t.notMatch((await app.onTerminal(['plugins', 'list'], '', { TERM: 'dumb' })).stdout, sequence);
  t.notMatch((await app.lattice(['plugins', 'list'])).stdout, sequence);
});

t.test('given a terminal, when installing is asked for, then y consents, and anything else does not', only, async (t) => {
  const app = await startWithCli(t);
  for (const answer of ['n\n', '\n', 'yess\n', '\u0004']) {
    const ran = await app.onTerminal(['plugins', 'install', 'example.hello'], answer);
    t.match(ran, { exitCode: 1, stdout: /Install it\? \[y\/N\]/ });
    t.equal(app.plugins.get('example.hello')?.status, 'verified');
  }
  t.match(await app.onTerminal(['plugins', 'install', 'example.hello'], 'y\n'), { exitCode: 0, stdout: /is installed/ });
});

t.test('given names, messages and lines that would act on a terminal, when they are printed, then they are spelled out', async (t) => {
  const app = await startWithCli(t);
  const evil = '\u001b[2Jclear \u009b31m \u202eelif\u2066 \r\n\u0007 \u200bend';
  const plugin = app.plugins.get('example.hello');
  if (!plugin) return t.fail('the sample is gone');
  app.plugins.set('example.hello', { ...plugin, name: evil, publisher: evil, version: evil, available: false });
  app.state.log(evil);
  await app.ask('PUT', `/api/kv/default/${encodeURIComponent('k\u202e')}`, { body: { value: evil } });
  app.state.answerCall = async () => ({ text: evil, [evil]: 1 });
  const verbs = [
    ['plugins', 'list'],
    ['plugins', 'show', 'example.hello'],
    ['plugins', 'install', 'example.hello', '--yes'],
    ['plugins', 'logs', 'example.hello'],
    ['kv', 'list', 'default'],
    ['plugins', 'call', 'example.hello', 's.m'],
    ['plugins', 'show', evil],
    ['plugins', evil],
  ];
  for (const verb of verbs) {
    for (const args of [verb, [...verb, '--json']]) {
      const { stdout, stderr } = await app.lattice(args);
      t.notMatch(
        stdout + stderr,
        /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/,
        args.slice(0, 2).join(' '),
      );
    }
  }
  t.equal(
    Object(JSON.parse((await app.lattice(['plugins', 'show', 'example.hello', '--json'])).stdout)).name,
    evil,
    '--json is still the same value',
  );
  const { stdout } = await app.lattice(['kv', 'get', 'default', 'k\u202e']);
  t.equal(stdout, evil, 'to a pipe a value goes as it is');
});
