import { execFile } from 'node:child_process';
import type { KeyObject } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { eventually } from '../support/eventually.ts';
import { makeArchive } from '../support/make-tar.ts';
import { compilePlugin } from '../support/native-plugin.ts';
import { signV1, signV2 } from '../support/public-bundle.ts';
import { whyNot } from '../support/sandbox-session.ts';
import { testPublisher, trustPolicy } from '../support/sign-bundle.ts';
import { createHome, startService } from '../support/start-service.ts';
import { hostCall } from '../support/stdio-json.ts';

const compiled = compilePlugin('stdio-json/plugin.c');
const program = compiled ?? Buffer.alloc(0);
const sandboxed = whyNot(process.getuid?.() === 0 ? 'root' : 'plain user', 'bwrap');
const skip = compiled === null ? 'there is no C compiler with a static libc' : sandboxed;
type AuditRow = { kind: string; method: string; verdict: string; code: string; summary: string };
const hex = (...lines: string[]) => Buffer.from(lines.join('\n')).toString('hex');
const lattice = fileURLToPath(new URL('../../supervisor/cli/lattice.js', import.meta.url));

const capabilities = ['kv:write', 'http:egress', 'log:write'];
const methods = ['ask', 'silent', 'echo', 'neighbour'];
const budget = { timeout_ms: 20_000, stdout_bytes: 65_536, stderr_bytes: 4096, host_calls: 6 };
type Form = 'v1' | 'v2';

/** What lies on disk in each of the two forms: the second is an archive with a program, data and the dashboard's files. */
const forms: Record<Form, (id: string, key: KeyObject) => { artifact: Buffer; manifest: Buffer }> = {
  v1(id, key) {
    const interfaces = [{ service: `${id}/items`, methods, scopes: ['node:read'] }];
    return { artifact: program, manifest: signV1(program, key, { id, capabilities, interfaces }) };
  },
  v2(id, key) {
    const archive = makeArchive([
      { name: 'bin/plugin', body: program },
      { name: 'data/notes.txt', body: 'remember' },
      { name: 'ui/index.html', body: '<!doctype html>' },
    ]);
    const typed = methods.map((name) => ({ name, effect: 'read', scopes: ['node:read'], budget }));
    const interfaces = [{ service: `${id}/items`, methods: typed, backing: 'runtime' }];
    return { artifact: archive, manifest: signV2(archive, key, { id, capabilities, interfaces }) };
  },
};
const idOf = { v1: 'acme.first', v2: 'acme.second' } as const;
const changing = 'acme.changing';

const home = createHome(t);
writeFileSync(home.trustFile, trustPolicy({ acme: home.key, [testPublisher]: home.key }));
function place(form: Form, id: string): void {
  const { artifact, manifest } = forms[form](id, home.key);
  mkdirSync(join(home.pluginDir, id));
  writeFileSync(join(home.pluginDir, id, 'manifest.json'), manifest);
  writeFileSync(join(home.pluginDir, id, 'artifact'), artifact);
}

/** Something on loopback that a plugin may be let through to. */
const target = createServer((_request, response) => void response.end('pong'));
await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve));
t.teardown(() => new Promise((resolve) => target.close(resolve)));
const { port } = target.address() as AddressInfo; // it listens on TCP

for (const form of ['v1', 'v2'] as const) place(form, idOf[form]);
place('v1', changing);
home.place({ id: 'test.native', source: 'export default { services: {} };\n', services: {} });
const open = [...Object.values(idOf), changing].map((id) => `${id}=127.0.0.0/8:${port}`);
const service = await startService(home, { env: { LATTICE_EGRESS_ALLOW: open.join(',') } });
const { api, call, setStatus, show } = service;

async function cli(...args: string[]) {
  const only = ['-i', `PATH=${process.env.PATH}`, `LATTICE_DATA_DIR=${home.dataDir}`];
  const { stdout } = await promisify(execFile)('/usr/bin/env', [...only, process.execPath, lattice, ...args, '--json']);
  return JSON.parse(stdout);
}

for (const form of ['v1', 'v2'] as const)
  t.test(
    `given a signed ${form} bundle on disk, when it is installed with a host, called and disabled, then it runs unchanged, within what was set`,
    { skip },
    async (t) => {
      const id = idOf[form];
      const items = `${id}/items`;

      await cli('plugins', 'install', id, '--yes', '--egress', `127.0.0.1:${port}`);
      t.match(await cli('plugins', 'activate', id), {
        status: 'active',
        runtime: { state: 'armed', runner: 'subprocess (stdio-json-v1)' },
      });
      t.match(await show(id), {
        form,
        wire: 'stdio-json-v1',
        egress: [`127.0.0.1:${port}`],
        egress_set_by: 'operator',
        runtime: { pid: null },
      });

      const asked = [
        hostCall('http.do', { url: `http://127.0.0.1:${port}/` }),
        hostCall('http.do', { url: 'http://127.0.0.1:9/' }),
        hostCall('kv.put', { key: 'a', value: 'b' }),
        hostCall('kv.get', { key: 'a' }),
        hostCall('log.write', { level: 'info', message: 'was here' }),
        hostCall('rpc.call', { service: 'x', method: 'y' }),
      ];
      const answer = await call(id, items, 'ask', hex(...asked));

      const answers = (answer.body as unknown as { host_response: { ok: boolean; error?: string; result?: object } }[]).map(
        (each) => each.host_response,
      );
      t.match(answers[0], { ok: true, result: { status_code: 200, body_base64: Buffer.from('pong').toString('base64') } });
      t.match(
        answers.slice(1).map(({ ok, error }) => `${ok} ${error?.split(':')[0] ?? ''}`),
        ['false egress-blocked', 'true ', 'false capability-denied', 'true ', 'false method-not-found'],
      );
      t.match(answers[1]?.error, /lattice plugins egress acme\.[a-z]+ --allow 127\.0\.0\.1:9/);
      t.match(await service.logText(id), /was here/);
      const readRows = async () => ((await api('GET', `/api/audit?plugin=${id}&limit=100`)).body as { rows: AuditRow[] }).rows;
      const readDecisions = async () => (await readRows()).filter(({ kind }) => kind === 'host.decision').reverse();
      await eventually(async () => (await readDecisions()).length === asked.length); // a refusal’s row follows its answer
      t.same(
        (await readDecisions()).map(({ method, verdict, code }) => `${method} ${verdict} ${code ?? ''}`.trim()),
        [
          'http.fetch allow',
          'http.fetch deny egress-blocked',
          'kv.put allow',
          'kv.get deny capability-denied',
          'log.write allow',
          'rpc.call deny method-not-found',
        ],
      );
      const installed = (await readRows()).find(({ summary }) => summary.includes('"to":"installed"'));
      t.match(JSON.parse(installed?.summary ?? '{}'), { egress: [`127.0.0.1:${port}`] });

      if (form === 'v2') {
        t.match((await call(id, items, 'neighbour')).body, { notes: 'remember', ui: 2 });
        const over = await call(id, items, 'ask', hex(...asked, hostCall('log.write', { message: 'one too many' })));
        t.match(over, { status: 502, body: { code: 'plugin-crashed', detail: /too-many-host-calls/ } });
      }

      t.match(await call(id, items, 'silent'), { status: 502, body: { code: 'plugin-crashed' } });
      t.match(await service.why(id), { state: 'armed', exits: [{ cause: 'protocol-violation', detail: /no-reply/ }] });
      t.match(await cli('plugins', 'disable', id), { status: 'disabled', runtime: { state: 'stopped' } });
    },
  );

t.test(
  'given an installed v1 plugin, when its hosts are changed, then the change is refused or held, and in force at once',
  { skip },
  async (t) => {
    const id = changing;
    const items = `${id}/items`;
    for (const [egress, rule] of [
      [['API.example.com:443'], 'invalid-egress'],
      [['a.example.com'], 'invalid-egress'],
      [['a.example.com:1', 'a.example.com:1'], 'invalid-egress'],
    ])
      t.match(await setStatus(id, 'installed', { egress }), { status: 400, body: { rule } });
    t.match(await setStatus(id, 'installed'), { status: 200, body: { egress: [] } });
    t.match(await setStatus(id, 'active', { egress: ['a.example.com:1'] }), { status: 400, body: { rule: 'egress-at-install' } });
    await setStatus(id, 'active');
    const fetchTarget = async () => {
      const answer = await call(id, items, 'ask', hex(hostCall('http.do', { url: `http://127.0.0.1:${port}/` })));
      return (answer.body as unknown as [{ host_response: { ok: boolean } }])[0].host_response.ok;
    };
    t.equal(await fetchTarget(), false);

    t.match(await cli('plugins', 'egress', id, '--allow', `127.0.0.1:${port}`), {
      egress: [`127.0.0.1:${port}`],
      egress_set_by: 'operator',
    });
    t.equal(await fetchTarget(), true);
    t.match(await api('PUT', `/api/plugins/${id}/egress`, { egress: [] }), {
      status: 200,
      body: { egress: [], runtime: { state: 'armed' } },
    });
    t.equal(await fetchTarget(), false);
  },
);

t.test('given a v3 plugin, when an operator sets hosts for it, then that is refused: its manifest names them', { skip }, async (t) => {
  t.match(await setStatus('test.native', 'installed', { egress: ['a.example.com:443'] }), {
    status: 400,
    body: { rule: 'egress-in-manifest' },
  });
  await setStatus('test.native', 'installed');
  t.match(await api('PUT', '/api/plugins/test.native/egress', { egress: [] }), { status: 400, body: { rule: 'egress-in-manifest' } });
});
