import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { findDescendants } from '../support/process-tree.ts';
import { readChild } from '../support/sign-bundle.ts';
import { createHome, startService } from '../support/start-service.ts';

const home = createHome(t);
const id = 'test.tells';
home.place({
  id,
  source: readChild('tells-all.js'),
  capabilities: ['kv:read', 'kv:write', 'log:write'],
  services: { dump: ['all', 'fail', 'crash', 'ask'] },
});
home.place({ id: 'test.throws', source: readChild('throws-at-load.js') });
mkdirSync(join(home.pluginDir, 'test.empty'));
symlinkSync(home.dataDir, join(home.pluginDir, 'test.linked'));
const service = await startService(home);
const { api, setStatus, call } = service;

/** What must stay in its own file, by a name to show instead of it. */
const secrets = {
  'the data directory': home.dataDir,
  'the bundle directory': home.pluginDir,
  'the trust policy': home.trustFile,
  'the folder of all these': home.root,
  'the checkout': fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, ''),
  'the admin token': home.token(),
  'the token without its prefix': home.token().slice(4),
  'the publisher’s private key': String(home.key.export({ format: 'jwk' }).d),
  'a setting of the service': 'LATTICE_',
};
/** Node’s own path may be below the checkout, and the command line of an uncaged child begins with it. */
const findSecrets = (text: string): string[] => {
  const shown = text.replaceAll(process.execPath, '');
  return Object.entries(secrets).flatMap(([name, secret]) => (shown.includes(secret) ? [`${name}: …${around(shown, secret)}`] : []));
};
const around = (text: string, part: string) => text.slice(Math.max(0, text.indexOf(part) - 80), text.indexOf(part) + 80);
const ask = async (method: string, path: string, body?: unknown) => JSON.stringify((await api(method, path, body)).body);

for (const each of [id, 'test.throws']) {
  await setStatus(each, 'installed');
  await setStatus(each, 'active');
}

t.test(
  'given a plugin that tells all it can find out, when it is called, then its answers hold no secret and no path of the host',
  async (t) => {
    const told = await call(id, 'dump', 'all');

    t.match(told, { status: 200, body: { look: { argv: ['node', 'lattice:artifact'], execPath: 'node' }, context: { plugin: { id } } } });
    t.same(findSecrets(JSON.stringify(told)), []);
    for (const method of ['fail', 'ask']) t.same(findSecrets(JSON.stringify(await call(id, 'dump', method))), [], method);
  },
);

t.test(
  'given children that run, when their command lines and environments are read, then they hold no secret and no path of ours',
  async (t) => {
    const children = findDescendants(service.pid);

    t.ok(children.length > 0);
    for (const { pid } of children)
      for (const file of ['cmdline', 'environ'])
        t.same(findSecrets(readFileSync(`/proc/${pid}/${file}`, 'latin1')), [], `${file} of ${pid}`);
  },
);

t.test(
  'given a plugin that crashed, when everything that the API shows is read, then it holds no secret and no path of the host',
  async (t) => {
    const mark = service.count();
    await call(id, 'dump', 'crash');
    await service.entered(id, 'backoff', mark);
    await service.entered(id, 'ready', mark);
    const paths = [
      '/api/plugins',
      '/api/plugins/lifecycle',
      '/api/plugins/refused',
      '/api/tokens',
      '/api/kv',
      `/api/kv/plugin:${id}`,
      '/api/audit?limit=1000',
      '/api/audit/verify',
      '/api/audit/head',
      '/healthz',
      '/readyz',
      '/nothing/here',
      '/api/plugins/%2e%2e%2fetc',
      ...[id, 'test.throws'].flatMap((each) =>
        ['', '/why', '/config', '/logs', '/logs?run=1&last=10000'].map((part) => `/api/plugins/${each}${part}`),
      ),
    ];

    for (const path of paths) t.same(findSecrets(await ask('GET', path)), [], path);

    t.same(findSecrets(await ask('POST', '/api/plugins/rescan')), []);
    t.same(findSecrets(await ask('POST', '/api/plugins/lifecycle', { id: 'test.throws', status: 'active' })), []);
    t.same(findSecrets(await ask('POST', '/api/plugins/lifecycle', { id: `../../${home.root}`, status: 'x' })).length, 0);
    t.ok((await service.logText(id)).includes('where am I'), 'the plugin did tell');
  },
);

t.test('given the service’s own log, when it is read, then it holds no token and no key', (t) => {
  const log = service.output();

  for (const name of ['the admin token', 'the token without its prefix', 'the publisher’s private key'] as const)
    t.notOk(log.includes(secrets[name]), name);
  t.end();
});
