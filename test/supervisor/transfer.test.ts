import t from 'tap';
import { judgePublisher } from '../../supervisor/judge-publisher.ts';
import { parseTrustPolicy } from '../../supervisor/trust-policy.ts';
import { id, openSupervisor, operator } from '../support/open-supervisor.ts';
import { makeKey } from '../support/signed-bundle.ts';

const rival = makeKey();
const theirs = { publisher: 'rival.publisher', version: '2.0.0' };

t.test(
  'given an id that is given to another publisher, when both have bundles, then the new one’s is an upgrade and the former’s a conflict',
  async (t) => {
    const { supervisor, runner, activate, offer, trust, key, call } = await openSupervisor(t);
    await activate();
    trust.bytes = Buffer.from(
      JSON.stringify({ trusted_publishers: { 'test.publisher': key.publicBase64, 'rival.publisher': rival.publicBase64 } }),
    );
    await offer(theirs, rival);
    t.match(supervisor.refused(), [{ id, code: 'publisher-conflict' }]);
    t.match(supervisor.show(id), { available: false, upgrade: null, refused: { code: 'publisher-conflict' } });

    t.match(await supervisor.transfer({ id, publisher: 'rival.publisher' }, operator), {
      publisher: 'test.publisher',
      transferred_to: 'rival.publisher',
      version: '1.0.0',
      upgrade: { version: '2.0.0', publisher: 'rival.publisher', risk: { level: 'high', reasons: [/another publisher signs it/] } },
    });
    t.same(supervisor.refused(), []);
    t.equal(runner.runs.length, 1, 'nothing runs that was not consented to');
    await t.resolves(call(), 'the accepted bytes run on');

    t.match(await supervisor.upgrade({ id }, operator), { version: '2.0.0', publisher: 'rival.publisher', transferred_to: null });
    t.match(supervisor.show(id).consents, [{ kind: 'upgrade' }, { kind: 'transfer', actor: 't-op', publisher: 'rival.publisher' }, {}]);
    await offer({ version: '3.0.0' });
    t.match(supervisor.refused(), [{ id, code: 'publisher-conflict' }]);
    await offer(theirs, rival);
    await t.rejects(supervisor.rollback({ id }, operator), { code: 'conflict', details: { rule: 'publisher-conflict' } });
    t.match(supervisor.show(id), { version: '2.0.0', runtime: { state: 'armed' }, other_runtimes: [] });
  },
);

t.test(
  'given an id that was given away, when only the accepted bundle lies on disk, then it can be armed again until an upgrade comes',
  async (t) => {
    const { supervisor, runner, activate, trust, key } = await openSupervisor(t);
    await activate();
    trust.bytes = Buffer.from(
      JSON.stringify({ trusted_publishers: { 'test.publisher': key.publicBase64, 'rival.publisher': rival.publicBase64 } }),
    );
    await supervisor.rescan(operator);
    await supervisor.transfer({ id, publisher: 'rival.publisher' }, operator);
    t.match(supervisor.refused(), [{ id, code: 'publisher-conflict' }]);
    t.match(await supervisor.setStatus({ id, status: 'active' }, operator), { available: true, runtime: { state: 'armed' } });
    t.equal(runner.runs.length, 2);
  },
);

t.test('given a publisher that may not have the id, when it is to be given to it, then it is refused and nothing changes', async (t) => {
  const { supervisor, put, changes } = await openSupervisor(t);
  put();
  await supervisor.start();
  const give = (publisher: string) => supervisor.transfer({ id, publisher }, operator);
  await t.rejects(give('test.publisher'), { code: 'invalid-transition' }, 'it is not installed');
  await supervisor.setStatus({ id, status: 'installed' }, operator);
  const before = await changes();
  await t.rejects(give('nobody'), { code: 'verification-failed', details: { rule: 'publisher-not-trusted' } });
  t.match(supervisor.show(id), { transferred_to: null, consents: [{ kind: 'install' }] });
  t.same(await changes(), before);
});

const now = Date.UTC(2026, 0, 1);
const policyOf = (row: object, more: object = {}) =>
  parseTrustPolicy(Buffer.from(JSON.stringify({ schema: 'lattice.plugin.trust.v2', publishers: { 'rival.publisher': row }, ...more })));
const cases: [string, ReturnType<typeof policyOf>, string | undefined][] = [
  ['a publisher with a key', policyOf({ keys: [{ key: rival.publicBase64 }] }), undefined],
  ['a publisher of this prefix', policyOf({ keys: [{ key: rival.publicBase64 }], ids: ['example.'] }), undefined],
  ['a publisher of other ids', policyOf({ keys: [{ key: rival.publicBase64 }], ids: ['rival.'] }), 'id-not-allowed'],
  [
    'a publisher whose key has expired',
    policyOf({ keys: [{ key: rival.publicBase64, not_after: '2025-01-01T00:00:00Z' }] }),
    'no-usable-key',
  ],
  [
    'a publisher whose key is revoked',
    policyOf({ keys: [{ key: rival.publicBase64 }] }, { revoked_keys: [rival.publicBase64] }),
    'no-usable-key',
  ],
];
for (const [what, policy, code] of cases)
  t.test(`given ${what}, when an id may be given to it, then ${code ?? 'it may'}`, async (t) =>
    t.equal(judgePublisher(policy, 'rival.publisher', id, now)?.code, code),
  );
