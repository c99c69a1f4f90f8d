import { lstatSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createGuardedClient } from '../../../supervisor/host/guarded-client.ts';
import { createMarket, type MarketDeps } from '../../../supervisor/market/market.ts';
import type { FetchView } from '../../../supervisor/market/market-view.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { skipWithoutOpenssl } from '../../support/local-servers.ts';
import { indexKey, inProcess, type MarketServer, marketPolicy, startMarketServer } from '../../support/market-setup.ts';
import { makeKey } from '../../support/signed-bundle.ts';
import { openTempDatabase } from '../../support/temp-database.ts';
import { testFolder } from '../../support/test-folder.ts';

const asked = { actor: { id: 't-test', scopes: [], plugin: null }, requestId: 'r-1' };
const wanted = { id: 'example.bundle', version: '1.0.0' };
const skip = { skip: skipWithoutOpenssl };

async function start(t: Test, change: (server: MarketServer) => Partial<MarketDeps> = () => ({})) {
  const server = await startMarketServer(t);
  const database = await openTempDatabase(t);
  const deps: MarketDeps = { ...server.deps, database, ...change(server) };
  const quarantined = () => readdirSync(join(deps.dataDir, 'quarantine'));
  return { ...server, deps, database, market: await createMarket(deps), quarantined };
}
const verdicts = ({ checks }: Pick<FetchView, 'checks'>) => checks.map(({ verdict }) => verdict);
const ruleOf = ({ checks }: FetchView) => {
  const row = checks.find(({ verdict }) => verdict === 'fail');
  return row && `${row.check}: ${row.rule}`;
};

t.test(
  'given a good index, when a release is fetched, then all six pass and the very bytes lie in a private quarantine',
  skip,
  async (t) => {
    const { market, offer, publish, files, artifact, deps, database } = await start(t);
    publish([offer()]);

    const shown = await market.refresh(asked);
    t.match(shown, {
      configured: true,
      place: 'a file',
      index: { signed: true, expired: false, signers: [indexKey.publicBase64] },
      problem: null,
    });
    t.same(verdicts({ checks: shown.candidates[0]?.checks ?? [] }), ['pass', 'pass', 'unknown', 'unknown', 'pass', 'unknown']);
    const fetched = await market.fetch(wanted, asked);

    t.match(fetched, { ok: true, folder: 'example.bundle@1.0.0' });
    t.same(verdicts(fetched), Array(6).fill('pass'));
    const home = join(deps.dataDir, 'quarantine');
    t.equal(lstatSync(home).mode & 0o777, 0o700);
    t.equal(lstatSync(join(home, 'example.bundle@1.0.0')).mode & 0o777, 0o700);
    t.equal(lstatSync(join(home, 'example.bundle@1.0.0/artifact')).mode & 0o777, 0o600);
    t.ok(readFileSync(join(home, 'example.bundle@1.0.0/artifact')).equals(artifact));
    t.ok(readFileSync(join(home, 'example.bundle@1.0.0/manifest.json')).equals(files.get('/manifest.json') ?? Buffer.alloc(0)));
    t.same(await database.read.all('SELECT method, actor FROM audit ORDER BY seq'), [
      { method: 'market.refresh', actor: 't-test' },
      { method: 'market.fetch', actor: 't-test' },
      { method: 'market.fetch', actor: 't-test' },
    ]);
    t.same(await database.read.all('SELECT * FROM plugins'), [], 'nothing is installed');
    await market.fetch(wanted, asked);
    t.same(readdirSync(home), ['example.bundle@1.0.0'], 'fetched again, it takes the same place');
  },
);

type Attack = [string, (server: Pick<MarketServer, 'offer' | 'publish' | 'files'>) => void, string];
const atFetch: Attack[] = [
  [
    'a changed manifest',
    ({ offer, publish, files }) => {
      publish([offer()]);
      files.set('/manifest.json', Buffer.from(String(files.get('/manifest.json')).replace('"Bundle"', '"Bungle"')));
    },
    'manifest-signature: signature-invalid',
  ],
  [
    'a good manifest of another version',
    ({ offer, publish }) => {
      const release = offer();
      offer({ version: '0.9.0' });
      publish([release]);
    },
    'manifest-signature: index-mismatch',
  ],
  [
    'a good manifest of another plugin',
    ({ offer, publish }) => {
      const release = offer();
      offer({ id: 'example.other' });
      publish([release]);
    },
    'manifest-signature: index-mismatch',
  ],
  [
    'another signature in the index',
    ({ offer, publish }) => publish([offer({}, { signature_ed25519: Buffer.alloc(64, 1).toString('base64') })]),
    'manifest-signature: index-mismatch',
  ],
  [
    'another manifest digest in the index',
    ({ offer, publish }) => publish([offer({}, { manifest_sha256: 'c'.repeat(64) })]),
    'manifest-signature: index-mismatch',
  ],
  [
    'a manifest signed by a key that only the index knows',
    ({ offer, publish }) => publish([offer({}, {}, makeKey().privateKey)]),
    'manifest-signature: signature-invalid',
  ],
  [
    'a changed artifact',
    ({ offer, publish, files }) => {
      publish([offer()]);
      files.set('/artifact', Buffer.from('export default 2;'));
    },
    'artifact-digest: index-mismatch',
  ],
  [
    'an artifact of another size than the index says',
    ({ offer, publish }) => publish([offer({}, { artifact_bytes: 18 })]),
    'artifact-digest: size-mismatch',
  ],
  [
    'an artifact larger than the index says',
    ({ offer, publish, files }) => {
      publish([offer({}, { artifact_bytes: 17 })]);
      files.set('/artifact', Buffer.alloc(10_000_000));
    },
    'artifact-digest: size-mismatch',
  ],
  [
    'a manifest that asks for more than the index lists',
    ({ offer, publish }) => publish([offer({ capabilities: ['kv:read', 'task:run'] })]),
    'capabilities: index-mismatch',
  ],
  [
    'a manifest that is none',
    ({ offer, publish, files }) => {
      publish([offer()]);
      files.set('/manifest.json', Buffer.from('{'));
    },
    'manifest-signature: invalid-json',
  ],
];
for (const [name, prepare, expected] of atFetch) {
  t.test(`given ${name}, when it is fetched, then ${expected}, and nothing is kept`, skip, async (t) => {
    const server = await start(t);
    prepare(server);
    await server.market.refresh(asked);
    const fetched = await server.market.fetch(wanted, asked);
    t.equal(fetched.ok, false);
    t.equal(ruleOf(fetched), expected);
    t.same(server.quarantined(), []);
  });
}

const beforeFetch: [string, Record<string, unknown>, Record<string, unknown>, Record<string, unknown>, string][] = [
  ['a publisher whom nobody pinned', { publishers: {} }, {}, {}, 'publisher-trust: publisher-not-trusted'],
  ['a release that the index revokes', {}, { revoked: 'key stolen' }, {}, 'publisher-trust: release-revoked'],
  [
    'a bundle that the policy revokes',
    { revoked_bundles: ['d'.repeat(64)] },
    { manifest_sha256: 'd'.repeat(64) },
    {},
    'publisher-trust: bundle-revoked',
  ],
  ['a capability of another world', {}, { capabilities: ['rpc:call'] }, {}, 'capabilities: unknown-capability'],
  ['a type that is not run', {}, { capabilities: ['kv:read'] }, { type: 'worker' }, 'sandbox: not-run-here'],
];
for (const [name, policy, release, listing, expected] of beforeFetch) {
  t.test(`given ${name}, when it is fetched, then ${expected}, and nobody is asked for it`, skip, async (t) => {
    const server = await start(t, () => ({ policy: () => marketPolicy(policy) }));
    server.publish([server.offer({}, release)], {}, listing);
    await server.market.refresh(asked);
    t.equal(ruleOf(await server.market.fetch(wanted, asked)), expected);
    t.equal(server.seen.length, 0);
  });
}

t.test('given a revocation of the bundle after it was listed, when it is fetched, then it is refused', skip, async (t) => {
  const { hash } = await import('node:crypto');
  let revoked: string[] = [];
  const server = await start(t, () => ({ policy: () => marketPolicy({ revoked_bundles: revoked }) }));
  server.publish([server.offer()]);
  await server.market.refresh(asked);
  revoked = [hash('sha256', server.files.get('/manifest.json') ?? '', 'hex')];
  t.equal(ruleOf(await server.market.fetch(wanted, asked)), 'publisher-trust: bundle-revoked');
});

for (const [name, location, rule] of [
  ['this machine', 'https://127.0.0.2/x', 'address-not-public'],
  ['cloud metadata', 'https://169.254.169.254/x', 'address-metadata'],
  ['plain http', 'http://127.0.0.1/x', 'redirect-downgrade'],
] as const) {
  t.test(`given a server that redirects to ${name}, when a release is fetched, then it is blocked as ${rule}`, skip, async (t) => {
    const server = await start(t);
    server.publish([server.offer()]);
    server.answers.set('/artifact', (response) => void response.writeHead(302, { location }).end());
    await server.market.refresh(asked);
    await t.rejects(server.market.fetch(wanted, asked), { code: 'egress-blocked', details: { rule, hint: /LATTICE_MARKET_ALLOW/ } });
    t.same(server.quarantined(), []);
  });
}

t.test('given an address that was not opened, when the index is read from it, then it is blocked', skip, async (t) => {
  const { market, seen } = await start(t, ({ url }) => ({ place: `${url}/index.json`, exemptions: [] }));
  await t.rejects(market.refresh(asked), { code: 'egress-blocked' });
  t.match(market.view({ all: true }), { index: null, problem: { rule: 'address-not-public' } });
  t.equal(seen.length, 0);
});

t.test('given a server that never ends its answer, when the index is read, then it is given up at its deadline', skip, async (t) => {
  const clock = createFakeClock();
  const { market, answers } = await start(t, ({ url, certificate }) => ({
    place: `${url}/index.json`,
    client: createGuardedClient({ clock, ca: [certificate.cert], ownAddresses: () => [] }),
  }));
  const asked1 = Promise.withResolvers<void>();
  answers.set('/index.json', (response) => {
    response.writeHead(200).write('{');
    asked1.resolve();
  });
  const refresh = t.rejects(market.refresh(asked), { code: 'deadline-exceeded' });
  await asked1.promise;
  clock.advance(15_000);
  await refresh;
});

t.test(
  'given an index over https, when it becomes huge, cut off, unsigned or older, then the last good one stays, also after a restart',
  skip,
  async (t) => {
    const { market, deps, publish, offer, files } = await start(t, ({ url }) => ({ place: `${url}/index.json` }));
    const good = publish([offer()], { version: 7 });
    t.match(await market.refresh(asked), { index: { version: 7 }, place: /^https:/ });
    for (const [bytes, code, rule] of [
      [Buffer.alloc(4_300_000, 0x20), 'payload-too-large', 'answer-too-large'],
      [good.subarray(0, -5), 'verification-failed', 'invalid-json'],
      [
        Buffer.from(
          String(good)
            .replace(/"signatures":.*/, '"signatures":[]}')
            .replace('official', 'draft'),
        ),
        'verification-failed',
        'index-unsigned',
      ],
      [publish([offer()], { version: 6 }), 'verification-failed', 'index-rollback'],
      [publish([offer()], { version: 8, generated_at: '2026-01-01T00:00:00Z' }), 'verification-failed', /index-(rollback|expired)/],
    ] as const) {
      files.set('/index.json', Buffer.from(bytes));
      await t.rejects(market.refresh(asked), { code });
      t.match(market.view({ all: true }), { index: { version: 7 }, problem: { rule }, candidates: [wanted] });
    }
    const again = await createMarket(deps);
    t.match(again.view({ all: true }), { index: { version: 7, signed: true }, candidates: [wanted] });
    files.set('/index.json', publish([offer()], { version: 6 }));
    await t.rejects(again.refresh(asked), { code: 'verification-failed', details: { rule: 'index-rollback' } });
  },
);

t.test(
  'given an index that has expired since, when it is shown and fetched from, then its age is told and nothing is fetched',
  skip,
  async (t) => {
    const clock = createFakeClock(Date.now());
    const { market, publish, offer, seen } = await start(t, () => ({ clock }));
    publish([offer()]);
    await market.refresh(asked);
    clock.setWall(Date.now() + 91 * 86_400_000);
    const shown = market.view({ all: true });
    t.match(shown, { index: { expired: true }, candidates: [wanted] });
    t.ok((shown.index?.age_ms ?? 0) > 91 * 86_400_000);
    t.equal(ruleOf(await market.fetch(wanted, asked)), 'index-signature: index-expired');
    t.equal(seen.length, 0);
  },
);

t.test(
  'given index keys that are pinned no longer, or none, when the index is shown, then it says so and nothing is fetched',
  skip,
  async (t) => {
    let policy = marketPolicy();
    const { market, publish, offer, seen } = await start(t, () => ({ policy: () => policy }));
    publish([offer()]);
    await market.refresh(asked);
    policy = marketPolicy({ index: { keys: [makeKey().publicBase64], threshold: 1 } });
    t.equal(market.view({ all: true }).index?.signed, false);
    t.equal(ruleOf(await market.fetch(wanted, asked)), 'index-signature: index-signature');
    policy = marketPolicy({ index: undefined });
    t.equal(market.view({ all: true }).index?.signed, null);
    t.match(await market.fetch(wanted, asked), { ok: false, checks: [{ verdict: 'unknown', rule: 'index-keys-not-pinned' }] });
    t.equal(seen.length, 0);
  },
);

t.test(
  'given no index, a release that is not listed, or a full quarantine, when it is fetched, then the error names what to do',
  skip,
  async (t) => {
    const server = await start(t);
    await t.rejects(server.market.fetch(wanted, asked), { code: 'not-found', details: { rule: 'no-index' } });
    writeFileSync(server.indexFile, 'no index');
    await t.rejects(server.market.refresh(asked), { code: 'verification-failed', details: { rule: 'invalid-json' } });
    server.publish([server.offer()]);
    await server.market.refresh(asked);
    await t.rejects(server.market.fetch({ ...wanted, version: '2.0.0' }, asked), { code: 'not-found', details: { rule: 'not-listed' } });
    const { mkdirSync } = await import('node:fs');
    for (let at = 0; at < 32; at++) mkdirSync(join(server.deps.dataDir, 'quarantine', `old-${at}`));
    await t.rejects(server.market.fetch(wanted, asked), { code: 'quota-exceeded', details: { rule: 'quarantine-full' } });
    t.equal(server.seen.length, 0);
  },
);

t.test('given an index that is refused or not there, when it is read, then the audit says who asked and what came of it', async (t) => {
  const dataDir = testFolder(t);
  const database = await openTempDatabase(t);
  const client = createGuardedClient({ clock: createFakeClock() });
  const place = join(dataDir, 'index.json');
  const policy = () => marketPolicy();
  const rest = { exemptions: [], maxAgeDays: 90, sandbox: () => null, clock: createFakeClock() };
  const market = await createMarket({ ...inProcess, ...rest, place, dataDir, client, database, policy });
  await t.rejects(market.refresh(asked), { code: 'unavailable' });
  writeFileSync(place, '{');
  await t.rejects(market.refresh(asked), { code: 'verification-failed' });

  const rows = await database.read.all<{ code: string | null; actor: string; summary: string }>('SELECT * FROM audit ORDER BY seq');
  t.same(
    rows.map(({ code, actor, summary }) => [code, actor, JSON.parse(summary)]),
    [
      [null, 't-test', {}],
      ['missing-file', 't-test', { taken: false }],
      [null, 't-test', {}],
      ['invalid-json', 't-test', { taken: false }],
    ],
  );
});
