import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { skipWithoutOpenssl } from '../../support/local-servers.ts';
import { indexKey, publisherKey, startMarketServer } from '../../support/market-setup.ts';
import { runVerb } from '../../support/run-cli.ts';
import { testFolder } from '../../support/test-folder.ts';
import { startApp } from '../http/start-app.ts';

async function start(t: Test) {
  const server = await startMarketServer(t);
  const { dataDir, ...market } = server.deps;
  const app = await startApp(t, { dataDir: testFolder(t), market });
  writeFileSync(join(app.dataDir, 'address'), `${app.url}\n`);
  writeFileSync(join(app.dataDir, 'admin.token'), `${app.admin.token}\n`, { mode: 0o600 });
  const lattice = (...args: string[]) =>
    runVerb(['market', ...args], { LATTICE_DATA_DIR: app.dataDir, LATTICE_PLUGIN_DIR: '/srv/plugins' });
  return { ...server, app, lattice };
}
const skip = { skip: skipWithoutOpenssl };

t.test(
  'given an index, when it is refreshed, listed, shown and fetched from, then each verb tells, and the next step is by hand',
  skip,
  async (t) => {
    const { app, lattice, publish, offer } = await start(t);
    t.match(await lattice(), { exitCode: 0, stdout: /There is no index yet from a file/ });
    publish([offer()]);

    t.match(await lattice('refresh'), { exitCode: 0, stdout: /60 minutes old.*signed by 1 pinned key/ });
    t.match(await lattice('list'), { exitCode: 0, stdout: /example\.bundle +1\.0\.0 +test\.publisher +read +\+\+\?\?\+\? +For tests/ });
    t.match(await lattice('show', 'example.bundle'), {
      exitCode: 0,
      stdout: /\[kv:read, read\].*pass +publisher-trust.*unknown +artifact-digest/s,
    });
    const fetched = await lattice('fetch', 'example.bundle@1.0.0');

    t.match(fetched, {
      exitCode: 0,
      stdout: /pass +sandbox/,
      stderr: /nothing is installed.*mv '.*quarantine\/example\.bundle@1\.0\.0' '\/srv\/plugins\/example\.bundle'/s,
    });
    t.same(readdirSync(join(app.dataDir, 'quarantine')), ['example.bundle@1.0.0']);
  },
);

t.test('given a release that fails a check, when it is fetched, then exit 5 with all checks, for programs too', skip, async (t) => {
  const { lattice, publish, offer, files } = await start(t);
  publish([offer()]);
  files.set('/artifact', Buffer.from('export default 2;'));
  await lattice('refresh');
  t.match(await lattice('fetch', 'example.bundle@1.0.0'), {
    exitCode: 5,
    stdout: /fail +artifact-digest: index-mismatch/,
    stderr: /thrown away/,
  });
  const { exitCode, stdout } = await lattice('fetch', 'example.bundle@1.0.0', '--json');
  t.match(
    { exitCode, ...JSON.parse(stdout) },
    { exitCode: 5, ok: false, code: 'verification-failed', folder: null, rule: 'index-mismatch' },
  );
  t.equal(JSON.parse(stdout).checks.length, 6);
});

t.test('given names that are not there, when they are asked for, then the exit codes tell', skip, async (t) => {
  const { lattice, publish, offer, indexFile } = await start(t);
  publish([offer()]);
  await lattice('refresh');
  t.match(await lattice('show', 'example.other'), { exitCode: 1, stderr: /lattice market list/ });
  t.match(await lattice('fetch', 'example.bundle'), { exitCode: 2, stderr: /acme\.tool@1\.0\.0/ });
  t.match(await lattice('fetch', 'example.bundle@9.9.9'), { exitCode: 1, stderr: /market show/ });
  writeFileSync(indexFile, '{');
  t.match(await lattice('refresh'), { exitCode: 5, stderr: /invalid-json/ });
  t.match(await lattice('list'), { exitCode: 0, stdout: /A newer one was not taken.*invalid-json/ }, 'the last good one is still listed');
});

t.test(
  'given an index and its keys as files, when it is checked and signed without a service, then what fails is exit 5',
  skip,
  async (t) => {
    const { folder, indexFile, publish, offer } = await startMarketServer(t);
    const key = join(folder, 'index.key');
    const publicKey = (await runVerb(['keygen', key])).stdout.trim();
    const trust = (keys: string[], threshold: number) => {
      const policy = { schema: 'lattice.plugin.trust.v2', publishers: {}, index: { keys, threshold } };
      writeFileSync(join(folder, 'trust.json'), JSON.stringify(policy));
      return ['--trust', join(folder, 'trust.json')];
    };
    const check = (...more: string[]) => runVerb(['market', 'check', indexFile, ...more]);
    publish([offer()], {
      publishers: ['test.publisher', 'acme'].map((id) => ({ id, name: id, public_key_ed25519: publisherKey.publicBase64 })),
    });

    t.match(await check(), { exitCode: 0, stdout: /unknown +index-signature: index-keys-not-pinned/ });
    t.match(await check(...trust([indexKey.publicBase64], 1)), { exitCode: 0, stdout: /pass +index-signature: 1 of the 1/ });
    t.match(await check(...trust([indexKey.publicBase64, publicKey], 2)), { exitCode: 5, stderr: /index-signature/ });
    const sign = ['market', 'sign', indexFile, '--key', key, '--publisher'];
    t.match(await runVerb([...sign, 'acme']), { exitCode: 0, stdout: /it has 2 signature/ });
    t.match(await check(...trust([indexKey.publicBase64, publicKey], 2)), { exitCode: 0, stdout: /pass +index-signature: 2 of the 2/ });
    t.match(await runVerb([...sign, 'nobody']), { exitCode: 5, stderr: /unknown-publisher/ });
    writeFileSync(indexFile, '{"schema": 1, "schema": 2}');
    t.match(await check('--json'), { exitCode: 5, stdout: /duplicate-key/ });
  },
);
