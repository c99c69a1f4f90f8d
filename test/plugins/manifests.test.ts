import { readFileSync } from 'node:fs';
import t from 'tap';
import { manifestV3 } from '../../protocol/manifest.ts';

for (const id of ['example.hello', 'lattice.ssh-login-alert']) {
  t.test(
    `given the plugin.json of ${id}, when pack's two fields are added, then it is a manifest, and the plugin has its methods`,
    async (t) => {
      const source = JSON.parse(readFileSync(new URL(`../../plugins/${id}/plugin.json`, import.meta.url), 'utf8'));
      const parsed = manifestV3.safeParse({ ...source, digest_sha256: '0'.repeat(64), signature_ed25519: `${'A'.repeat(86)}==` });
      t.equal(parsed.error, undefined);
      const { default: plugin } = await import(`../../plugins/${id}/plugin.ts`);
      for (const { name, methods } of parsed.data?.services ?? []) {
        for (const method of methods) t.type(plugin.services[name]?.[method.name], 'function', `${name}.${method.name}`);
      }
    },
  );
}
