import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { skipWithoutOpenssl } from '../support/local-servers.ts';
import { indexKey, publisherKey, startMarketServer } from '../support/market-setup.ts';
import { createHome, startService } from '../support/start-service.ts';

t.test(
  'given a service with an index, when a release is fetched, then it is in quarantine, and a candidate only once somebody moved it on',
  { skip: skipWithoutOpenssl },
  async (t) => {
    const { indexFile, certificateFile, port, publish, offer } = await startMarketServer(t);
    publish([offer()]);
    const home = createHome(t);
    const policy = {
      schema: 'lattice.plugin.trust.v2',
      publishers: { 'test.publisher': { keys: [{ key: publisherKey.publicBase64 }] } },
      index: { keys: [indexKey.publicBase64], threshold: 1 },
    };
    writeFileSync(home.trustFile, JSON.stringify(policy));
    const service = await startService(home, {
      env: { LATTICE_MARKET_INDEX: indexFile, LATTICE_MARKET_ALLOW: `127.0.0.1/32:${port}`, NODE_EXTRA_CA_CERTS: certificateFile },
    });

    t.match(await service.api('POST', '/api/marketplace/refresh', {}), { status: 200, body: { index: { signed: true } } });
    const { status, body } = await service.api('POST', '/api/marketplace/fetch', { id: 'example.bundle', version: '1.0.0' });

    t.match({ status, ok: body.ok, folder: body.folder }, { status: 200, ok: true, folder: 'example.bundle@1.0.0' }, JSON.stringify(body));
    await service.api('POST', '/api/plugins/rescan', {});
    t.same((await service.api('GET', '/api/plugins/lifecycle')).body, [], 'what is in quarantine is no plugin');
    renameSync(join(home.dataDir, 'quarantine/example.bundle@1.0.0'), join(home.pluginDir, 'example.bundle'));
    await service.api('POST', '/api/plugins/rescan', {});
    t.match((await service.api('GET', '/api/plugins/lifecycle')).body, [{ id: 'example.bundle', status: 'verified', available: true }]);
    const shown = await service.api('GET', '/api/marketplace');
    t.notMatch(JSON.stringify(shown.body), home.root, 'no path of the host is told');
    t.notMatch(JSON.stringify(shown.body), indexFile);
  },
);
