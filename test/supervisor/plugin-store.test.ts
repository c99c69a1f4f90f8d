import { copyFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openDatabase } from '../../supervisor/database.ts';
import { prepareDatabaseFile } from '../../supervisor/database-file.ts';
import { migrate } from '../../supervisor/migrate.ts';
import type { Status } from '../../supervisor/plugin-lifecycle.ts';
import { type AcceptedBundle, createPluginStore, type ExitRecord, type Offer } from '../../supervisor/plugin-store.ts';
import { openConnection, openModes } from '../../supervisor/sqlite-connection.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createQuietLog } from '../support/quiet-log.ts';
import { openTempDatabase } from '../support/temp-database.ts';
import { testFolder } from '../support/test-folder.ts';

const bundle: AcceptedBundle = {
  id: 'example.hello',
  publisher: 'dev.local',
  name: 'Hello',
  type: 'system',
  version: '1.0.0',
  bundleSha256: 'a'.repeat(64),
  artifactSha256: 'b'.repeat(64),
  manifest: '{"id": "example.hello"}\n',
  verifiedAt: '2025-12-31T23:59:59.000Z',
};
const upgrade: AcceptedBundle = { ...bundle, version: '1.1.0', bundleSha256: 'c'.repeat(64), manifest: '{"version":"1.1.0"}' };
const terms = { capabilities: ['log:write', 'kv:read'], egress: ['api.example.com:443'] };
const operatorEgress: string[] = [];
const offer: Offer = { bundle, terms, operatorEgress };
const upgradeOffer: Offer = { bundle: upgrade, terms: { capabilities: ['kv:read'], egress: [] }, operatorEgress };
const exit = (generation: number): ExitRecord => ({
  generation,
  startedAt: '2026-01-01T00:00:00.000Z',
  endedAt: '2026-01-01T00:00:01.000Z',
  cause: 'crashed',
  code: 1,
  signal: null,
  detail: 'exit code 1',
  stderrTail: ['oh no'],
  lastHostCall: 'kv.get',
});

async function openStore(t: Test) {
  const clock = createFakeClock();
  const database = await openTempDatabase(t, clock);
  const listChanges = async () => {
    const rows = await database.read.all<{ actor: string; code: string; summary: string }>(
      "SELECT actor, code, summary FROM audit WHERE kind = 'plugin.status' AND plugin = 'example.hello' ORDER BY seq",
    );
    return rows.map((row) => ({ actor: row.actor, code: row.code, ...JSON.parse(row.summary) }));
  };
  return { clock, database, store: createPluginStore({ database, clock }), listChanges };
}

t.test('given a verified bundle, when it is accepted, then it is installed exactly as shown, and audited', async (t) => {
  const { store, listChanges } = await openStore(t);

  const record = await store.accept(offer, 't-1');

  const now = '2026-01-01T00:00:00.000Z';
  const expected = {
    ...bundle,
    owner: 'dev.local',
    status: 'installed',
    config: {},
    operatorEgress: [],
    acceptedBy: 't-1',
    installedAt: now,
    activatedAt: null,
    disabledAt: null,
    createdAt: now,
    updatedAt: now,
    health: { exits: [], crashTimesMs: [], broken: false, generation: 0 },
    former: [],
    consents: [
      {
        time: now,
        kind: 'install',
        actor: 't-1',
        publisher: 'dev.local',
        version: '1.0.0',
        bundleSha256: bundle.bundleSha256,
        capabilities: ['kv:read', 'log:write'],
        egress: ['api.example.com:443'],
      },
    ],
  };
  t.same(record, expected);
  t.same(await store.get(bundle.id), expected);
  t.same(await store.all(), [expected]);
  t.same(await listChanges(), [
    {
      actor: 't-1',
      code: null,
      change: 'status',
      from: 'verified',
      to: 'installed',
      version: '1.0.0',
      bundle_sha256: bundle.bundleSha256,
      capabilities: terms.capabilities,
    },
  ]);
});

t.test('given an unknown id, when it is asked for, then there is no record', async (t) => {
  const { store } = await openStore(t);

  t.equal(await store.get('example.absent'), undefined);
  t.same(await store.all(), []);
});

t.test('given an installed plugin, when the same bundle is accepted again, then nothing changes', async (t) => {
  const { store, listChanges } = await openStore(t);
  await Promise.all([store.accept(offer, 't-1'), store.accept(offer, 't-2')]);

  t.match(await store.get(bundle.id), { acceptedBy: 't-1' });
  t.equal((await listChanges()).length, 1);
});

t.test('given an installed plugin, when another bundle of its publisher is accepted, then that is a matter of upgrading', async (t) => {
  const { store } = await openStore(t);
  await store.accept(offer, 't-1');

  await t.rejects(store.accept(upgradeOffer, 't-1'), { code: 'conflict', details: { rule: 'already-installed', hint: /upgrade/ } });
});

for (const how of ['accept', 'setBundle'] as const) {
  t.test(`given an id of one publisher, when another one’s bundle comes by ${how}, then it is refused`, async (t) => {
    const { store, listChanges } = await openStore(t);
    await store.accept(offer, 't-1');
    const foreign: Offer = { bundle: { ...upgrade, publisher: 'evil.example' }, terms, operatorEgress };

    const change = how === 'accept' ? store.accept(foreign, 't-1') : store.setBundle('upgrade', foreign, 't-1');

    await t.rejects(change, { code: 'conflict', details: { rule: 'publisher-conflict', hint: String } });
    t.match(await store.get(bundle.id), { publisher: 'dev.local', bundleSha256: bundle.bundleSha256 });
    t.equal((await listChanges()).length, 1);
  });
}

t.test('given an upgrade that the operator consented to, when it is set, then the record is of it and keeps its status', async (t) => {
  const { store, listChanges } = await openStore(t);
  await store.accept(offer, 't-1');
  await store.setStatus(bundle.id, 'active', { actor: 't-1' });

  const record = await store.setBundle('upgrade', upgradeOffer, 't-2');

  t.match(record, { ...upgrade, status: 'active', acceptedBy: 't-2' });
  t.same(record.former, [bundle], 'to go back to');
  t.match(record.consents, [
    { kind: 'upgrade', actor: 't-2', capabilities: ['kv:read'], egress: [] },
    { kind: 'install', actor: 't-1' },
  ]);
  t.same((await listChanges()).at(-1), {
    actor: 't-2',
    code: null,
    change: 'upgrade',
    from: '1.0.0',
    to: '1.1.0',
    bundle_sha256: upgrade.bundleSha256,
    capabilities: ['kv:read'],
  });
});

t.test('given the life of a plugin, when its status changes, then each moment and reason is kept', async (t) => {
  const { clock, store, listChanges } = await openStore(t);
  await store.accept(offer, 't-1');
  clock.setWall(Date.UTC(2026, 0, 2));
  await store.setStatus(bundle.id, 'active', { actor: 't-1' });
  clock.setWall(Date.UTC(2026, 0, 3));
  const record = await store.setStatus(bundle.id, 'disabled', { actor: null, reason: 'not ready in time', code: 'deadline-exceeded' });

  t.match(record, {
    status: 'disabled',
    installedAt: '2026-01-01T00:00:00.000Z',
    activatedAt: '2026-01-02T00:00:00.000Z',
    disabledAt: '2026-01-03T00:00:00.000Z',
    updatedAt: '2026-01-03T00:00:00.000Z',
  });
  t.match((await listChanges()).slice(1), [
    { actor: 't-1', change: 'status', from: 'installed', to: 'active' },
    { actor: null, code: 'deadline-exceeded', change: 'status', from: 'active', to: 'disabled', reason: 'not ready in time' },
  ]);
});

t.test('given an active plugin, when active is wanted again, then the restart is audited', async (t) => {
  const { store, listChanges } = await openStore(t);
  await store.accept(offer, 't-1');
  await store.setStatus(bundle.id, 'active', { actor: 't-1' });

  await store.setStatus(bundle.id, 'active', { actor: 't-1' });

  t.match((await listChanges()).at(-1), { change: 'restart', from: 'active', to: 'active' });
});

t.test('given a disabled plugin, when disabled is wanted again, then nothing changes', async (t) => {
  const { store, listChanges } = await openStore(t);
  await store.accept(offer, 't-1');
  await store.setStatus(bundle.id, 'disabled', { actor: 't-1' });
  const before = await listChanges();

  t.match(await store.setStatus(bundle.id, 'disabled', { actor: 't-1' }), { status: 'disabled' });

  t.same(await listChanges(), before);
});

const forbidden: [Status, Status][] = [
  ['installed', 'verified'],
  ['active', 'installed'],
  ['active', 'verified'],
  ['disabled', 'installed'],
  ['disabled', 'verified'],
];
for (const [from, to] of forbidden) {
  t.test(`given a plugin that is ${from}, when ${to} is wanted, then it is refused and stays`, async (t) => {
    const { store } = await openStore(t);
    await store.accept(offer, 't-1');
    if (from !== 'installed') await store.setStatus(bundle.id, from, { actor: 't-1' });

    await t.rejects(store.setStatus(bundle.id, to, { actor: 't-1' }), { code: 'invalid-transition', details: { from, to, hint: String } });

    t.match(await store.get(bundle.id), { status: from });
  });
}

t.test('given a configuration, when it is set, then it is kept and the audit holds its size only', async (t) => {
  const { store, listChanges } = await openStore(t);
  await store.accept(offer, 't-1');

  const record = await store.setConfig(bundle.id, { password: 'hunter2', limits: [1, 2] }, 't-1');

  t.same(record.config, { password: 'hunter2', limits: [1, 2] });
  t.same((await listChanges()).at(-1), { actor: 't-1', code: null, change: 'config', bytes: 37 });
});

t.test('given a configuration of 64 KiB, when one byte more is set, then it is refused', async (t) => {
  const { store } = await openStore(t);
  await store.accept(offer, 't-1');
  const fitting = { text: 'x'.repeat(64 * 1024 - '{"text":""}'.length) };

  t.same((await store.setConfig(bundle.id, fitting, 't-1')).config, fitting);
  await t.rejects(store.setConfig(bundle.id, { text: `${fitting.text}x` }, 't-1'), {
    code: 'payload-too-large',
    details: { limit: 65536 },
  });
});

t.test('given more exits and crashes than are kept, when health is saved, then the newest stay', async (t) => {
  const { store } = await openStore(t);
  await store.accept(offer, 't-1');
  const exits = Array.from({ length: 25 }, (_, index) => exit(25 - index));
  const crashTimesMs = Array.from({ length: 25 }, (_, index) => index);

  await store.saveHealth(bundle.id, { exits, crashTimesMs, broken: true, generation: 25 });

  const health = (await store.get(bundle.id))?.health;
  t.same(health, { exits: exits.slice(0, 20), crashTimesMs: crashTimesMs.slice(-20), broken: true, generation: 25 });
});

t.test('given generations, when the service starts again, then none is used twice', async (t) => {
  const file = join(testFolder(t), 'lattice.db');
  const clock = createFakeClock();
  const first = await openDatabase({ file, clock, log: createQuietLog() });
  const store = createPluginStore({ database: first, clock });
  await store.accept(offer, 't-1');
  const used = await Promise.all([store.nextGeneration(bundle.id), store.nextGeneration(bundle.id)]);
  await store.saveHealth(bundle.id, { exits: [], crashTimesMs: [], broken: false, generation: 1 }); // older than the newest
  await first.close();
  const second = await openDatabase({ file, clock, log: createQuietLog() });
  t.teardown(() => second.close());

  used.push(await createPluginStore({ database: second, clock }).nextGeneration(bundle.id));

  t.same(used, [1, 2, 3]);
});

t.test('given no record, when it is to change, then each way says so', async (t) => {
  const { database, store } = await openStore(t);
  const health = { exits: [], crashTimesMs: [], broken: false, generation: 0 };

  await t.rejects(store.setStatus(bundle.id, 'active', { actor: 't-1' }), { code: 'not-found', details: { hint: String } });
  await t.rejects(store.setBundle('upgrade', upgradeOffer, 't-1'), { code: 'not-found' });
  await t.rejects(store.setConfig(bundle.id, {}, 't-1'), { code: 'not-found' });
  await t.rejects(store.saveHealth(bundle.id, health), { code: 'not-found' });
  await t.rejects(store.nextGeneration(bundle.id), { code: 'not-found' });
  t.equal(database.head().seq, 0);
});

t.test('given several upgrades, when they are rolled back, then each goes one back, and only so many are kept', async (t) => {
  const { store } = await openStore(t);
  const version = (n: number): Offer => ({
    bundle: { ...bundle, version: `1.${n}.0`, bundleSha256: String(n).repeat(64) },
    terms,
    operatorEgress,
  });
  await store.accept(version(0), 't-1');
  for (const n of [1, 2, 3, 4]) await store.setBundle('upgrade', version(n), 't-1');
  const versions = async () => (await store.get(bundle.id))?.former.map((each) => each.version);
  t.same(await versions(), ['1.3.0', '1.2.0', '1.1.0']);
  const record = await store.setBundle('rollback', version(3), 't-2');
  t.match(record, {
    version: '1.3.0',
    former: [{ version: '1.2.0' }, { version: '1.1.0' }],
    consents: [{ kind: 'rollback', actor: 't-2' }],
  });
  t.equal((await store.all())[0]?.former.length, 2);
  t.equal((await store.get(bundle.id))?.consents.length, 6);
});

t.test('given a plugin that was given up, when another bundle is accepted, then its crashes are not those of the new one', async (t) => {
  const { store } = await openStore(t);
  await store.accept(offer, 't-1');
  await store.saveHealth(bundle.id, { exits: [exit(1)], crashTimesMs: [1, 2, 3], broken: true, generation: 1 });
  const { health } = await store.setBundle('upgrade', upgradeOffer, 't-1');
  t.same(health, { exits: [exit(1)], crashTimesMs: [], broken: false, generation: 1 });
});

t.test(
  'given an id, when it is given to another publisher, then that one alone may set its bundle, and both stand in the record',
  async (t) => {
    const { store, listChanges } = await openStore(t);
    await store.accept(offer, 't-1');
    const record = await store.setOwner(bundle.id, 'acme.tools', 't-2');
    t.match(record, { owner: 'acme.tools', publisher: 'dev.local', bundleSha256: bundle.bundleSha256 });
    t.match(record.consents[0], { kind: 'transfer', actor: 't-2', publisher: 'acme.tools', capabilities: ['kv:read', 'log:write'] });
    t.same((await listChanges()).at(-1), { actor: 't-2', code: null, change: 'transfer', from: 'dev.local', to: 'acme.tools' });
    await t.rejects(store.setBundle('upgrade', upgradeOffer, 't-1'), { code: 'conflict', details: { rule: 'publisher-conflict' } });
    const theirs: Offer = { bundle: { ...upgrade, publisher: 'acme.tools' }, terms, operatorEgress };
    t.match(await store.setBundle('upgrade', theirs, 't-1'), {
      owner: 'acme.tools',
      publisher: 'acme.tools',
      former: [{ publisher: 'dev.local' }],
    });
    await t.rejects(store.setBundle('rollback', offer, 't-1'), { code: 'conflict', details: { rule: 'publisher-conflict' } });
  },
);

t.test('given consents, when somebody would change or delete one, then the database refuses', async (t) => {
  const { store, database } = await openStore(t);
  await store.accept(offer, 't-1');
  for (const sql of ["UPDATE consents SET actor = 'x'", 'DELETE FROM consents', 'INSERT OR REPLACE INTO consents SELECT * FROM consents'])
    await t.rejects(
      database.write((tx) => tx.run(sql)),
      /append-only/,
      sql,
    );
});

t.test(
  'given hosts that the operator set, when they are stored and changed, then the record, the consent and the audit hold them',
  async (t) => {
    const { store, listChanges } = await openStore(t);
    const hosts = ['a.example.com:443'];

    const installed = await store.accept({ bundle, terms: { capabilities: [], egress: hosts }, operatorEgress: hosts }, 't-1');

    t.match(installed, { operatorEgress: hosts, consents: [{ kind: 'install', egress: hosts }] });
    t.match((await listChanges()).at(-1), { change: 'status', to: 'installed', egress: hosts });
    const changed = await store.setEgress(bundle.id, ['b.example.com:80'], 't-2');
    t.match(changed, {
      operatorEgress: ['b.example.com:80'],
      consents: [{ kind: 'egress', actor: 't-2', version: '1.0.0', egress: ['b.example.com:80'] }, { kind: 'install' }],
    });
    t.match((await listChanges()).at(-1), { actor: 't-2', change: 'egress', from: hosts, to: ['b.example.com:80'] });
    await store.setEgress(bundle.id, ['b.example.com:80'], 't-2');
    t.equal((await store.get(bundle.id))?.consents.length, 2, 'the same hosts again are no new decision');
  },
);

t.test('given a lower version that is accepted, when the history is read, then it is a downgrade there and in the audit', async (t) => {
  const { store, listChanges } = await openStore(t);
  await store.accept(offer, 't-1');
  const lower: Offer = { ...upgradeOffer, bundle: { ...upgrade, version: '0.9.0' } };
  t.match((await store.setBundle('upgrade', lower, 't-1')).consents, [{ kind: 'downgrade', version: '0.9.0' }, { kind: 'install' }]);
  t.match((await listChanges()).at(-1), { change: 'downgrade', from: '1.0.0', to: '0.9.0' });
  t.match((await store.setBundle('rollback', offer, 't-1')).consents[0], { kind: 'rollback' });
});

t.test('given very many consents, when a record is read, then it holds the newest fifty, and the table all', async (t) => {
  const { store, database } = await openStore(t);
  await store.accept(offer, 't-1');
  for (let at = 0; at < 60; at++) await store.setEgress(bundle.id, [`h${at}.example.com:443`], 't-1');
  for (const record of [await store.get(bundle.id), ...(await store.all())]) {
    t.equal(record?.consents.length, 50);
    t.match(record?.consents[0], { egress: ['h59.example.com:443'] });
  }
  t.same(await database.read.all('SELECT count(*) AS n FROM consents'), [{ n: 61 }]);
});

t.test(
  'given a database from before consents were kept, when it is migrated, then each installation is one, and the id has its owner',
  async (t) => {
    const folder = testFolder(t, { old: {} });
    const source = join(import.meta.dirname, '../../supervisor/migrations');
    for (const name of readdirSync(source).filter((file) => file < '006')) copyFileSync(join(source, name), join(folder, 'old', name));
    const file = join(folder, 'lattice.db');
    await prepareDatabaseFile(file);
    const before = await openConnection(file, openModes.write);
    await migrate(before, join(folder, 'old'));
    await before.run(
      `INSERT INTO plugins (id, publisher, name, type, version, bundle_sha256, artifact_sha256, manifest, status, accepted_by, installed_at,
       created_at, updated_at) VALUES ('example.hello', 'dev.local', 'Hello', 'system', '1.0.0', 'a', 'b', ?, 'active', 't-1', ?, ?, ?)`,
      ['{"capabilities":["kv:read","http:egress"],"egress":["a.example:443"]}', ...Array(3).fill('2025-01-01T00:00:00.000Z')],
    );
    await before.close();

    const clock = createFakeClock();
    const database = await openDatabase({ file, clock, log: createQuietLog() });
    t.teardown(() => database.close());

    t.match(await createPluginStore({ database, clock }).get('example.hello'), {
      owner: 'dev.local',
      status: 'active',
      former: [],
      consents: [
        {
          kind: 'install',
          actor: 't-1',
          time: '2025-01-01T00:00:00.000Z',
          capabilities: ['kv:read', 'http:egress'],
          egress: ['a.example:443'],
        },
      ],
    });
  },
);
