import { generateKeyPairSync } from 'node:crypto';
import { appendFileSync, chmodSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { testPublisher, trustPolicy } from '../support/sign-bundle.ts';
import { createHome, startService } from '../support/start-service.ts';

const home = createHome(t);
const { privateKey: rivalKey } = generateKeyPairSync('ed25519');
writeFileSync(home.trustFile, trustPolicy({ [testPublisher]: home.key, 'rival.local': rivalKey }));
const id = 'test.versions';
const saying = (word: string) => `export default { services: { tool: { say: () => '${word}' } } };\n`;
const place = (version: string, source: string, more: object = {}) =>
  home.place({ id, source, services: { tool: ['say'] }, more: { version, ...more } });
place('1.0.0', saying('one'));
const service = await startService(home);
const { api, setStatus, call, show, runtime } = service;

const said = async () => (await call(id, 'tool', 'say')).body;
const rescan = () => api('POST', '/api/plugins/rescan');
const staged = (name: string) => {
  const folder = join(home.dataDir, 'staging', name);
  chmodSync(folder, 0o700);
  chmodSync(join(folder, 'artifact'), 0o600);
  return join(folder, 'artifact');
};
await setStatus(id, 'installed');
await setStatus(id, 'active');

t.test('given a running plugin, when its artifact on disk is replaced, then restarts still run the accepted bytes', async (t) => {
  writeFileSync(join(home.pluginDir, id, 'artifact'), saying('evil'));

  await setStatus(id, 'active');
  t.equal(await said(), 'one');
  const mark = service.count();
  process.kill(Number((await runtime(id)).pid), 'SIGKILL');
  await service.entered(id, 'backoff', mark);
  await service.entered(id, 'ready', mark);
  t.equal(await said(), 'one');

  await rescan();
  t.match(await show(id), { available: false, status: 'active', runtime: { state: 'armed' } });
  t.match((await api('GET', '/api/plugins/refused')).body, [{ folder: id, code: 'digest-mismatch' }]);
});

t.test('given a newer signed bundle, when it appears, then it is offered, and runs only by consent', async (t) => {
  place('1.1.0', saying('two'), { capabilities: ['kv:read'] });
  await rescan();

  const { upgrade } = await show(id);
  t.match(upgrade, { version: '1.1.0', downgrade: false, capabilities_added: ['kv:read'], capabilities_removed: [] });
  await setStatus(id, 'active');
  t.equal(await said(), 'one');
  t.match(await api('POST', `/api/plugins/${id}/upgrade`, { bundle_sha256: '0'.repeat(64) }), {
    status: 409,
    body: { code: 'changed-since-shown' },
  });
  t.equal(await said(), 'one');

  t.match(await api('POST', `/api/plugins/${id}/upgrade`, { bundle_sha256: (upgrade as { bundle_sha256: string }).bundle_sha256 }), {
    status: 200,
    body: { version: '1.1.0', status: 'active', upgrade: null },
  });
  t.equal(await said(), 'two');
});

t.test('given an upgrade that does not start, when it is consented to, then the former version is back', async (t) => {
  place('1.2.0', 'throw new Error("not today");');
  await rescan();

  t.match(await api('POST', `/api/plugins/${id}/upgrade`), { status: 503, body: { rule: 'load-failed' } });

  t.match(await show(id), { version: '1.1.0', status: 'active', runtime: { state: 'armed' }, upgrade: { version: '1.2.0' } });
  t.equal(await said(), 'two');
});

t.test(
  'given an id that belongs to a publisher, when another signs a bundle with it, then that is a conflict, never an upgrade',
  async (t) => {
    home.place({
      id,
      source: saying('rival'),
      services: { tool: ['say'] },
      key: rivalKey,
      more: { version: '9.0.0', publisher: 'rival.local' },
    });
    await rescan();

    t.match(await show(id), { publisher: testPublisher, available: false, upgrade: null });
    t.match((await api('GET', '/api/plugins/refused')).body, [{ code: 'publisher-conflict' }]);
    t.match(await api('POST', `/api/plugins/${id}/upgrade`), { status: 409 });
    t.equal(await said(), 'two');
  },
);

t.test('given a running plugin, when its staged copy is changed by hand, then it runs on, and does not start again', async (t) => {
  place('1.1.0', saying('two'), { capabilities: ['kv:read'] });
  await rescan();
  const { bundle_sha256 } = await show(id);
  t.ok(readdirSync(join(home.dataDir, 'staging')).includes(String(bundle_sha256)));

  appendFileSync(staged(String(bundle_sha256)), '// by hand\n');

  t.equal(await said(), 'two');
  t.match(await setStatus(id, 'active'), { status: 422, body: { code: 'verification-failed', rule: 'trust-lost' } });
  t.match(await show(id), { status: 'disabled', runtime: { state: 'stopped' } });
  t.match((await service.why(id)).exits[0], { cause: 'trust-lost', detail: /^digest-mismatch/ });
});

t.test('given a running plugin, when its publisher is trusted no more, then it is stopped at once and for good', async (t) => {
  home.place({ id: 'test.other', source: saying('hello'), services: { tool: ['say'] } });
  await rescan();
  await setStatus('test.other', 'installed');
  t.match(await setStatus('test.other', 'active'), { status: 200 });
  writeFileSync(home.trustFile, trustPolicy({ 'rival.local': rivalKey }));
  const mark = service.count();

  service.signal('SIGHUP');

  await service.entered('test.other', 'failed', mark);
  await rescan(); // has its turn after the one that the signal began
  t.match(await show('test.other'), { available: false, status: 'active', runtime: { state: 'failed', pid: null, next_retry_at: null } });
  t.match((await service.why('test.other')).exits[0], { cause: 'trust-lost', detail: /^publisher-not-trusted/ });
  t.match(await setStatus('test.other', 'active'), { status: 409 });
});

t.test('given a trust policy that is broken, when it is read again, then the last good one stays in force', async (t) => {
  writeFileSync(home.trustFile, '{"trusted_publishers": ');

  t.match(await rescan(), { status: 422, body: { code: 'verification-failed', rule: 'trust-policy' } });

  t.match((await api('GET', '/readyz')).body, { status: 'ready' });
});
