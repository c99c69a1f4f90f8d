import t, { type Test } from 'tap';
import type { Actor } from '../../supervisor/plugin-view.ts';
import { eventually } from '../support/eventually.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { id, openSupervisor, operator } from '../support/open-supervisor.ts';
import { signV1 } from '../support/public-bundle.ts';
import { makeKey, writeBundle } from '../support/signed-bundle.ts';

t.test(
  'given an upgrade that is being recorded, when the plugin is disabled in that moment, then the new version can be activated afterwards',
  async (t) => {
    const { supervisor, store, activate, offer } = await openSupervisor(t);
    await activate();
    await offer({ version: '1.1.0' });
    const { setBundle } = store;
    let disabled: Promise<unknown> = Promise.resolve();
    Object.assign(store, {
      async setBundle(...args: Parameters<typeof setBundle>) {
        const record = await setBundle(...args);
        disabled = supervisor.setStatus({ id, status: 'disabled' }, operator);
        await eventually(() => supervisor.show(id).other_runtimes.every(({ state }) => state === 'stopped'));
        return record;
      },
    });

    t.match(await supervisor.upgrade({ id }, operator), { version: '1.1.0' });
    await disabled;

    t.match(supervisor.show(id), { status: 'disabled', version: '1.1.0', runtime: { state: 'stopped' } });
    t.match(await supervisor.setStatus({ id, status: 'active' }, operator), { status: 'active', runtime: { state: 'armed' } });
  },
);

t.test(
  'given a former version of the publisher who gave the id away, when it is gone back to, then it is refused before it runs',
  async (t) => {
    const rival = makeKey();
    const { supervisor, runner, activate, offer, trust, key, changes } = await openSupervisor(t);
    await activate();
    const publishers = { 'test.publisher': key.publicBase64, 'rival.publisher': rival.publicBase64 };
    trust.bytes = Buffer.from(JSON.stringify({ trusted_publishers: publishers }));
    await offer({ publisher: 'rival.publisher', version: '2.0.0' }, rival);
    await supervisor.transfer({ id, publisher: 'rival.publisher' }, operator);
    await supervisor.upgrade({ id }, operator);
    const before = { runs: runner.runs.length, changes: await changes() };

    await t.rejects(supervisor.rollback({ id }, operator), { code: 'conflict', details: { rule: 'publisher-conflict', hint: /transfer/ } });

    t.same({ runs: runner.runs.length, changes: await changes() }, before);
  },
);

/** A plugin of the public form, whose hosts the operator sets. */
async function openPublic(t: Test) {
  const opened = await openSupervisor(t);
  const artifact = Buffer.from('#!/bin/sh\n');
  const interfaces = [{ service: `${id}/tool`, methods: ['say'] }];
  const put = (more: Record<string, unknown> = {}) => {
    const fields = { id, publisher: 'test.publisher', capabilities: ['http:egress'], interfaces, ...more };
    writeBundle(opened.pluginDir, 'bundle', signV1(artifact, opened.key.privateKey, fields), artifact);
  };
  put();
  const { supervisor } = opened;
  await supervisor.start();
  await supervisor.setStatus({ id, status: 'installed', egress: ['a.example.com:443'] }, operator);
  await supervisor.setStatus({ id, status: 'active' }, operator);
  const offer = async (more: Record<string, unknown>) => {
    put(more);
    await supervisor.rescan(operator);
  };
  const admin: Actor = { ...operator, scopes: ['plugin:admin', 'plugin:call', 'network:apply'] };
  const request = { id, service: `${id}/tool`, method: 'say', payload: null };
  const call = () => supervisor.call(request, admin, { signal: new AbortController().signal, requestId: 'r' });
  return { ...opened, offer, call };
}

t.test('given hosts that the operator set, when other bytes would keep them, then the upgrade and its risk say so', async (t) => {
  const { supervisor, offer } = await openPublic(t);
  await offer({ version: '1.1.0', name: 'Another Tool' });
  t.match(supervisor.show(id).upgrade, {
    egress: ['a.example.com:443'],
    egress_set_by: 'operator',
    differences: { egress: { added: [], removed: [] }, identity: [{ field: 'name', from: 'Acme Tool', to: 'Another Tool' }] },
    risk: { level: 'medium', reasons: [/keeps the hosts that you set.*a\.example\.com:443/, /name changes/] },
  });
  await supervisor.setEgress(id, [], operator);
  t.match(supervisor.show(id).upgrade, { egress: [], risk: { level: 'low' } });
});

t.test('given an old version that finishes its calls, when the hosts are taken away, then it is ended with them', async (t) => {
  const { supervisor, runner, offer, call } = await openPublic(t);
  const old = runner.last();
  Object.assign(old, { invoke: () => new Promise(() => {}) });
  call().catch(() => {});
  await offer({ version: '1.1.0' });
  await supervisor.upgrade({ id }, operator);
  t.match(supervisor.show(id).other_runtimes, [{ role: 'outgoing' }]);

  await supervisor.setEgress(id, [], operator);

  t.same(
    supervisor.show(id).other_runtimes.filter(({ state }) => state !== 'stopped'),
    [],
  );
  t.same(runner.last().launch.grant.egress, []);
});

t.test(
  'given a bundle whose key expires after it was found, when it is installed or upgraded to, then it is refused and nothing changes',
  async (t) => {
    const clock = createFakeClock();
    const { supervisor, trust, key, put, offer, changes } = await openSupervisor(t, clock);
    const until = (ms: number) => {
      const keys = [{ key: key.publicBase64, not_after: new Date(clock.wallMs() + ms).toISOString() }];
      trust.bytes = Buffer.from(JSON.stringify({ schema: 'lattice.plugin.trust.v2', publishers: { 'test.publisher': { keys } } }));
    };
    const refused = { code: 'verification-failed', details: { rule: 'key-expired', hint: /rescan/ } };
    until(1000);
    put();
    await supervisor.rescan(operator);
    clock.setWall(clock.wallMs() + 2000);
    await t.rejects(supervisor.setStatus({ id, status: 'installed' }, operator), refused);
    t.equal(supervisor.show(id).status, 'verified');

    until(1000);
    await supervisor.rescan(operator);
    await supervisor.setStatus({ id, status: 'installed' }, operator);
    await offer({ version: '1.1.0' });
    const before = await changes();
    clock.setWall(clock.wallMs() + 2000);
    await t.rejects(supervisor.upgrade({ id }, operator), refused);
    t.match(supervisor.show(id), { version: '1.0.0', upgrade_verification: { trusted: false } });
    t.same(await changes(), before);
  },
);

t.test('given a former version, when it is shown, then so is whether it is trusted still; a revoked one is not gone back to', async (t) => {
  const { supervisor, trust, key, put, offer, changes } = await openSupervisor(t);
  put();
  await supervisor.rescan(operator);
  await supervisor.setStatus({ id, status: 'installed' }, operator);
  const first = supervisor.show(id).bundle_sha256;
  await offer({ version: '1.1.0' });
  await supervisor.upgrade({ id }, operator);
  t.match(supervisor.show(id).rollback_verification, { trusted: true, key: key.publicBase64 });

  const publishers = { 'test.publisher': { keys: [{ key: key.publicBase64 }] } };
  trust.bytes = Buffer.from(JSON.stringify({ schema: 'lattice.plugin.trust.v2', publishers, revoked_bundles: [first] }));
  await supervisor.rescan(operator);
  const before = await changes();
  t.match(supervisor.show(id), {
    rollback: { version: '1.0.0' },
    rollback_verification: { trusted: false, fault: { code: 'bundle-revoked' } },
  });
  await t.rejects(supervisor.rollback({ id }, operator), { code: 'verification-failed', details: { rule: 'bundle-revoked' } });
  t.same(await changes(), before);
});
