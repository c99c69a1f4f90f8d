import { hash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import t from 'tap';
import { makeArchive } from '../support/make-tar.ts';
import { acmePolicy, signV1, signV2, unsignedV1 } from '../support/public-bundle.ts';
import { makeKey, writeBundle } from '../support/signed-bundle.ts';
import { createHome, startService } from '../support/start-service.ts';

// What runs in such a plugin is tested with its protocol; here it is only armed.
const home = createHome(t);
const key = makeKey();
const executable = Buffer.from('an executable');
const platform = { runtime: { protocol: 'stdio-json-v1', entrypoints: { 'linux/amd64': 'bin/plugin', 'linux/arm64': 'bin/plugin' } } };
const archive = makeArchive([{ name: 'bin/plugin', body: 'entry' }]);
writeFileSync(home.trustFile, acmePolicy(key.publicBase64));
writeBundle(home.pluginDir, 'one', signV1(executable, key.privateKey, { id: 'acme.one', interfaces: [] }), executable);
writeBundle(home.pluginDir, 'two', signV2(archive, key.privateKey, { id: 'acme.two', interfaces: [], ...platform }), archive);
writeBundle(home.pluginDir, 'bare', unsignedV1(null, { id: 'acme.bare' }), executable);
const service = await startService(home, { env: { LATTICE_RUNNER: 'noop', LATTICE_ALLOW_UNSIGNED: '1' } });
const { api, setStatus, show, why } = service;

t.test('given bundles of the public forms, when they are listed, then each says its form and whether anybody signed it', async (t) => {
  t.match(await show('acme.one'), { form: 'v1', publisher: 'acme', unsigned: false, status: 'verified', engine: 'native' });
  t.match(await show('acme.two'), { form: 'v2', publisher: 'acme', unsigned: false, status: 'verified' });
  t.match(await show('acme.bare'), { form: 'v1', publisher: '', unsigned: true, artifact_sha256: hash('sha256', executable, 'hex') });
});

t.test('given such plugins, when they are installed and activated, then they arm', async (t) => {
  for (const id of ['acme.one', 'acme.two', 'acme.bare']) {
    t.match(await setStatus(id, 'installed'), { status: 200 }, id);
    t.match(await setStatus(id, 'active'), { status: 200, body: { status: 'active', runtime: { state: 'armed' } } }, id);
  }
});

t.test('given an installed unsigned bundle, when it is listed, then the digest of its artifact is still told', async (t) => {
  t.match(await show('acme.bare'), { unsigned: true, artifact_sha256: hash('sha256', executable, 'hex') });
});

t.test(
  'given active plugins of the public forms, when their key is revoked and SIGHUP is sent, then they are stopped and say why',
  async (t) => {
    const policy = {
      schema: 'lattice.plugin.trust.v2',
      publishers: { acme: { keys: [{ key: key.publicBase64 }] } },
      revoked_keys: [key.publicBase64],
    };
    writeFileSync(home.trustFile, JSON.stringify(policy));
    const mark = service.count();

    service.signal('SIGHUP');

    await Promise.all([service.entered('acme.one', 'failed', mark), service.entered('acme.two', 'failed', mark)]);
    for (const id of ['acme.one', 'acme.two'])
      t.match(await show(id), { status: 'active', runtime: { state: 'failed', message: /key-revoked/ } });
    t.match(await why('acme.two'), { state: 'failed' });
    t.match(await show('acme.bare'), { runtime: { state: 'armed' } }, 'the unsigned one has no key to lose');
    t.match((await api('POST', '/api/plugins/rescan')).body, {
      refused: [
        { id: 'acme.one', code: 'key-revoked' },
        { id: 'acme.two', code: 'key-revoked' },
      ],
    });
  },
);
