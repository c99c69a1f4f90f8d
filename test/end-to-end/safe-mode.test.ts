import { readdirSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { runVerb } from '../support/run-cli.ts';
import { createHome, startService } from '../support/start-service.ts';

t.test('given a damaged database, when the service is started, then it serves only what helps to mend it', async (t) => {
  const home = createHome(t);
  const before = await startService(home, { env: { LATTICE_RUNNER: 'noop' } });
  const other = (await before.api('POST', '/api/tokens', { name: 'other', scopes: ['audit:read'] })).body.token;
  before.signal('SIGTERM');
  await before.exited;
  truncateSync(join(home.dataDir, 'lattice.db'), 30_000);

  const service = await startService(home, { env: { LATTICE_RUNNER: 'noop' } });

  t.match(await service.api('GET', '/readyz'), { status: 503, body: { status: 'not-ready', reasons: [/safe mode/] } });
  t.same(await (await fetch(`${service.url}/readyz`)).json(), { status: 'not-ready' });
  t.match(await service.api('GET', '/healthz'), { status: 200 });
  t.match(await service.api('GET', '/api/database'), {
    status: 200,
    body: { state: 'safe-mode', rule: 'damaged-database', set_aside: /^lattice-set-aside-/, hint: String },
  });
  for (const [method, path] of [
    ['GET', '/api/plugins'],
    ['POST', '/api/plugins/rescan'],
    ['GET', '/api/nothing'],
  ] as const)
    t.match(await service.api(method, path), { status: 503, body: { code: 'storage-unavailable', rule: 'safe-mode' } }, path);
  const refused = await fetch(`${service.url}/api/database`, { headers: { Authorization: `Bearer ${other}` } });
  t.equal(refused.status, 401, 'a token that only the database knew counts no more');
  t.ok([200, 503].includes((await service.api('GET', '/api/audit')).status));
  const doctor = await runVerb(['doctor'], { LATTICE_DATA_DIR: home.dataDir });
  t.match(doctor, { exitCode: 0, stdout: /SAFE MODE[\s\S]*What to do: / });
  t.notOk(readdirSync(home.dataDir).includes('lattice.db'));
  service.signal('SIGTERM');
  t.match(await service.exited, { code: 0 });
  t.match(await runVerb(['doctor'], { LATTICE_DATA_DIR: home.dataDir }), { exitCode: 0, stdout: /SAFE MODE/ });
});
