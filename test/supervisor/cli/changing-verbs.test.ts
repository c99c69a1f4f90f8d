import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { HostError } from '../../../protocol/errors.ts';
import { startWithCli } from './run-lattice.ts';

t.test('given entries, when they are put, got and deleted, then odd keys and stdin work, and a conflict is exit 7', async (t) => {
  const app = await startWithCli(t);
  t.match(await app.lattice(['kv', 'put', 'default', '..', '-'], 'two\nlines'), { exitCode: 0, stdout: 'stored as revision 1\n' });
  t.match(await app.lattice(['kv', 'get', 'default', '..']), { exitCode: 0, stdout: 'two\nlines' });
  t.match(await app.lattice(['kv', 'put', 'default', '..', 'x', '--if-revision', '0']), { exitCode: 7, stderr: /conflict/ });
  t.match(await app.lattice(['kv', 'delete', 'default', '..']), { exitCode: 0, stdout: 'deleted\n' });
  t.match(await app.lattice(['kv', 'get', 'default', '..']), { exitCode: 1, stderr: /not-found/ });
  t.match(await app.lattice(['kv', 'get', 'Default', 'x']), { exitCode: 2 });
});

t.test('given a configuration, when it is set from stdin, then it is kept; what is not JSON is exit 2', async (t) => {
  const app = await startWithCli(t);
  t.match(await app.lattice(['plugins', 'config', 'set', 'example.hello', '-'], '{"colour":"green"}'), { exitCode: 0 });
  t.match(await app.json(['plugins', 'config', 'get', 'example.hello']), { value: { colour: 'green' } });
  t.match(await app.lattice(['plugins', 'config', 'set', 'example.hello', '{"a":1,"a":2}']), { exitCode: 2, stderr: /same key twice/ });
  for (const [text, said] of [
    ['[1]', /is a JSON object.*config set example\.hello '\{/s],
    ['{a}', /the configuration is not JSON: expected property name.*, at character 2/],
  ] as const)
    t.match(await app.verb(['plugins', 'config', 'set', 'example.hello', text]), { exitCode: 2, stderr: said }, text);
});

t.test('given scopes, when a token is made, then only it stands on stdout; with it what it lacks is exit 4', async (t) => {
  const app = await startWithCli(t);
  const made = await app.lattice([
    'token',
    'create',
    '--name',
    'ci',
    '--scope',
    'audit:read,plugin:logs',
    '--scope',
    'plugin:call',
    '--plugin',
    'example.hello',
    '--expires',
    '30d',
  ]);
  t.match(made, { exitCode: 0, stdout: /^lat_[A-Za-z0-9_-]{43}\n$/, stderr: /not shown again/ });
  t.match((await app.tokens.list()).at(-1), {
    name: 'ci',
    scopes: ['audit:read', 'plugin:logs', 'plugin:call'],
    plugin: 'example.hello',
    expiresAt: /^2/,
  });
  const file = join(app.dataDir, 'ci.token');
  await writeFile(file, made.stdout, { mode: 0o600 });
  t.match(await app.lattice(['plugins', 'why', 'example.hello'], '', { LATTICE_TOKEN_FILE: file }), { exitCode: 0 });
  t.match(await app.lattice(['token', 'list'], '', { LATTICE_TOKEN_FILE: file }), { exitCode: 4, stderr: /token:admin/ });
  const { id } = (await app.tokens.list()).at(-1) ?? { id: '' };
  t.match(await app.lattice(['token', 'revoke', id]), { exitCode: 0 });
  t.match(await app.lattice(['plugins', 'why', 'example.hello'], '', { LATTICE_TOKEN_FILE: file }), { exitCode: 4 });
});

t.test(
  'given a call that tells its progress, when it is followed, then that is on stderr, and the result or the problem as ever',
  async (t) => {
    const app = await startWithCli(t);
    app.state.answerCall = async ({ onProgress }) => {
      onProgress?.({ done: 1 });
      return 'all';
    };
    const call = ['plugins', 'call', 'example.hello', 'greeter.greet', '--progress'];
    t.match(await app.lattice(call), { exitCode: 0, stdout: '"all"\n', stderr: '{"done":1}\n' });
    app.state.answerCall = async ({ onProgress }) => {
      onProgress?.(1);
      throw new HostError('conflict', 'changed', { hint: 'read again' });
    };
    t.match(await app.lattice(call), { exitCode: 7, stderr: /changed.*conflict.*read again/s });
  },
);
