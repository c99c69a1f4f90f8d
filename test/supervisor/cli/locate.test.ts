import { once } from 'node:events';
import { chmod, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { testFolder } from '../../support/test-folder.ts';
import { runLattice, startWithCli } from './run-lattice.ts';

const someToken = `lat_${'x'.repeat(43)}`;

t.test('given no data directory, no address or nobody who listens there, when a verb asks, then exit 3', async (t) => {
  const folder = testFolder(t, { gone: { address: 'http://127.0.0.1:1\n', 'admin.token': someToken }, empty: {} });
  await chmod(join(folder, 'gone/admin.token'), 0o600);
  for (const name of ['gone', 'empty', 'nowhere']) {
    const ran = await runLattice(['plugins', 'list', '--json'], { environment: { LATTICE_DATA_DIR: join(folder, name) } });
    t.match(
      { ...ran, problem: JSON.parse(ran.stdout) },
      { exitCode: 3, problem: { code: 'unavailable', rule: 'not-running', hint: /lattice serve/ } },
      name,
    );
  }
});

t.test('given a token file that others can read, when a verb asks, then exit 4 and nothing is sent', async (t) => {
  const app = await startWithCli(t);
  await chmod(join(app.dataDir, 'admin.token'), 0o640);
  t.match(await app.lattice(['plugins', 'list']), { exitCode: 4, stdout: '', stderr: /can be read or changed by others.*chmod 600/s });
  await chmod(join(app.dataDir, 'admin.token'), 0o600);
  t.equal((await app.lattice(['plugins', 'list'])).exitCode, 0);
});

t.test('given a file that holds no token, or none that is known, when a verb asks, then exit 4', async (t) => {
  const app = await startWithCli(t);
  const file = join(app.dataDir, 'other.token');
  for (const text of ['', 'two words', someToken]) {
    await writeFile(file, text, { mode: 0o600 });
    t.match(await app.lattice(['plugins', 'list'], '', { LATTICE_TOKEN_FILE: file }), {
      exitCode: 4,
      stderr: /other\.token.*LATTICE_TOKEN_FILE/s,
    });
  }
  t.match(await app.lattice(['plugins', 'list'], '', { LATTICE_TOKEN_FILE: join(app.dataDir, 'none') }), {
    exitCode: 4,
    stderr: /LATTICE_TOKEN_FILE/,
  });
});

t.test('given an address elsewhere, when a verb asks, then no token goes out over plain http, nor one that is not for it', async (t) => {
  const app = await startWithCli(t);
  const file = join(app.dataDir, 'admin.token');
  const cases: [Record<string, string>, number][] = [
    [{ LATTICE_URL: 'http://192.0.2.1:8088', LATTICE_TOKEN_FILE: file }, 4],
    [{ LATTICE_URL: 'http://127.0.0.1.evil.example', LATTICE_TOKEN_FILE: file }, 4],
    [{ LATTICE_URL: 'https://192.0.2.1' }, 2],
    [{ LATTICE_URL: 'ftp://127.0.0.1', LATTICE_TOKEN_FILE: file }, 2],
    [{ LATTICE_URL: 'http://user:secret@127.0.0.1:8088', LATTICE_TOKEN_FILE: file }, 2],
    [{ LATTICE_URL: 'nonsense' }, 2],
  ];
  for (const [more, code] of cases) t.equal((await app.lattice(['plugins', 'list'], '', more)).exitCode, code, more.LATTICE_URL ?? '');
});

t.test('given a proxy in the environment, when a verb asks the service on loopback, then it does so directly', async (t) => {
  const app = await startWithCli(t);
  const proxy = {
    HTTP_PROXY: 'http://127.0.0.1:1',
    http_proxy: 'http://127.0.0.1:1',
    ALL_PROXY: 'http://127.0.0.1:1',
    NODE_USE_ENV_PROXY: '1',
  };
  t.equal((await app.lattice(['plugins', 'list'], '', proxy)).exitCode, 0);
});

t.test('given something else that answers, when a verb asks, then it says so, and follows no redirect with the token', async (t) => {
  const app = await startWithCli(t);
  const seen: (string | undefined)[] = [];
  const other = createServer((req, res) => {
    seen.push(req.url);
    if (req.url === '/elsewhere') return void res.end('[]');
    res.writeHead(req.url?.startsWith('/api/') ? 302 : 200, { location: '/elsewhere' }).end('<html>');
  });
  t.teardown(() => other.close());
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
  t.match(await app.lattice(['plugins', 'list'], '', { LATTICE_URL: url }), { exitCode: 1, stderr: /is not a Lattice service/ });
  t.same(seen, ['/api/plugins']);
});
