import { hash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import t from 'tap';
import { eventually } from '../support/eventually.ts';
import { openBundleStore } from '../support/open-bundle-store.ts';
import { signV1 } from '../support/public-bundle.ts';
import { writeBundle } from '../support/signed-bundle.ts';

const artifact = Buffer.alloc(256 * 1024, 7);

t.test('given a scan of many bundles, when a plugin is started meanwhile, then it does not wait for the scan', async (t) => {
  const { bundles, pluginDir, stagingDir, key } = await openBundleStore(t);
  const first = signV1(artifact, key.privateKey, { id: 'acme.first', interfaces: [] });
  writeBundle(pluginDir, 'first', first, artifact);
  await bundles.scan();
  for (let at = 0; at < 60; at++)
    writeBundle(pluginDir, `tool-${at}`, signV1(artifact, key.privateKey, { id: `acme.tool-${at}`, interfaces: [] }), artifact);
  const staged = () => readdirSync(stagingDir).filter((name) => !name.startsWith('.')).length;

  const scan = bundles.scan();
  await eventually(() => staged() > 3);
  await bundles.load(hash('sha256', first, 'hex'));

  t.ok(staged() < 20, 'most are still to be staged');
  t.equal((await scan).verified.size, 61);
});
