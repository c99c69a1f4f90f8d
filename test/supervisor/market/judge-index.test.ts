import { sign } from 'node:crypto';
import t from 'tap';
import { type IndexPins, indexPayload, pinsOf } from '../../../supervisor/market/index-signatures.ts';
import { judgeIndex, type SeenIndex } from '../../../supervisor/market/judge-index.ts';
import { readIndex } from '../../../supervisor/market/read-index.ts';
import { parseTrustPolicy } from '../../../supervisor/trust-policy.ts';
import { advertised, indexNowMs, makeIndex, makeListing, signIndex } from '../../support/make-index.ts';
import { makeKey } from '../../support/signed-bundle.ts';

const [first, second, third, stranger] = [makeKey(), makeKey(), makeKey(), makeKey()];

function pin(threshold: number, keys = [first, second, third], revoked: string[] = []): IndexPins {
  const index = { keys: keys.map((key) => key.publicBase64), threshold };
  const policy = { schema: 'lattice.plugin.trust.v2', publishers: {}, revoked_keys: revoked, index };
  const pins = pinsOf(parseTrustPolicy(Buffer.from(JSON.stringify(policy))));
  if (pins === null) throw new Error('nothing is pinned');
  return pins;
}

type Given = { pins?: IndexPins | null; seen?: SeenIndex | null; nowMs?: number; maxAgeDays?: number };

function judge(bytes: Buffer, { pins = pin(1), seen = null, nowMs = indexNowMs, maxAgeDays = 90 }: Given = {}) {
  const read = readIndex(bytes);
  if (!read.ok) throw new Error(JSON.stringify(read.faults));
  return judgeIndex(read, { pins, seen, nowMs, maxAgeDays });
}
const refused = (rule: string) => ({ ok: false, rule });

t.test('given as many pinned keys as must sign, when they did, then the index is good and tells who signed', async (t) => {
  t.match(judge(signIndex(makeIndex(), first.privateKey)), { ok: true, signed: true, signers: [first.publicBase64] });
  t.match(judge(signIndex(makeIndex(), first.privateKey, third.privateKey), { pins: pin(2) }), { ok: true, signed: true });
  t.match(judge(signIndex(makeIndex(), stranger.privateKey, second.privateKey)), { ok: true }, 'beside one that counts, others may stand');
});

t.test('given keys that nobody pinned, when an index is judged, then their signatures count for nothing', async (t) => {
  t.match(judge(signIndex(makeIndex(), stranger.privateKey)), refused('index-signature'));
  t.match(judge(signIndex(makeIndex(), advertised.privateKey)), refused('index-signature'), 'not even the key that the index advertises');
  t.match(judge(signIndex({ ...makeIndex(), status: 'draft' })), refused('index-unsigned'));
});

t.test('given one pinned key that signs twice, when two must sign, then it counts once', async (t) => {
  const { privateKey } = first;
  t.match(judge(signIndex(makeIndex(), privateKey, privateKey), { pins: pin(2) }), refused('index-signature'));
  const publishers = ['a', 'b'].map((name) => ({ id: `test.${name}`, name, public_key_ed25519: first.publicBase64 }));
  const twice = JSON.parse(signIndex(makeIndex({ publishers, plugins: [] }), privateKey, privateKey).toString());
  twice.signatures = twice.signatures.map((row: object, at: number) => ({ ...row, publisher: `test.${at === 0 ? 'a' : 'b'}` }));
  t.match(judge(Buffer.from(JSON.stringify(twice)), { pins: pin(2) }), refused('index-signature'), 'under two names neither');
});

t.test('given a pinned key that was revoked, when only it signed, then the index is refused', async (t) => {
  const pins = pin(1, [first, second], [first.publicBase64]);
  t.match(judge(signIndex(makeIndex(), first.privateKey), { pins }), refused('index-signature'));
  t.match(judge(signIndex(makeIndex(), second.privateKey), { pins }), { ok: true });
});

t.test('given a signed index, when any part is changed, then it is refused; another spelling of the same is the same', async (t) => {
  const index = JSON.parse(signIndex(makeIndex({ version: 3 }), first.privateKey).toString());
  for (const change of [
    { version: 4 },
    { generated_at: '2026-06-15T00:00:01Z' },
    { status: 'draft' },
    { plugins: [makeListing({ summary: 'For others.' })] },
    { plugins: [makeListing({ capabilities: ['kv:read', 'kv:write'] })] },
    { expires_at: '2099-01-01T00:00:00Z' },
    { more: true },
  ])
    t.match(judge(Buffer.from(JSON.stringify({ ...index, ...change }))), refused('index-signature'), JSON.stringify(change));
  const spelled = Object.fromEntries(Object.entries(index).reverse());
  t.match(judge(Buffer.from(JSON.stringify(spelled, null, 3))), { ok: true });
});

t.test('given a signature over other bytes of the same index, when it stands in the index, then it counts for nothing', async (t) => {
  const index = makeIndex();
  const payload = indexPayload(index);
  for (const bytes of [payload.subarray(payload.indexOf('{')), Buffer.from(payload.toString().replace('INDEX-V1', 'MANIFEST-V3'))]) {
    const signatures = [{ publisher: 'test.publisher', signature_ed25519: sign(null, bytes, first.privateKey).toString('base64') }];
    t.match(judge(Buffer.from(JSON.stringify({ ...index, signatures }))), refused('index-signature'));
  }
});

function seenOf(index: Record<string, unknown>, signed = true): SeenIndex {
  const verdict = judge(signIndex(index, first.privateKey));
  if (!verdict.ok) throw new Error(verdict.rule);
  const version = typeof index.version === 'number' ? index.version : null;
  return { signed, generatedAt: String(index.generated_at), version, payloadSha256: verdict.payloadSha256 };
}

t.test('given an index that was accepted, when an older, a lower or another of the same time comes, then it is refused', async (t) => {
  const seen = seenOf(makeIndex({ version: 5 }));
  const again = (more: Record<string, unknown>) => judge(signIndex(makeIndex({ version: 5, ...more }), first.privateKey), { seen });
  t.match(again({}), { ok: true }, 'the same once more');
  t.match(again({ generated_at: '2026-06-15T00:00:01Z', version: 6 }), { ok: true });
  t.match(again({ generated_at: '2026-06-14T23:59:59Z', version: 6 }), refused('index-rollback'));
  t.match(again({ generated_at: '2026-06-15T01:00:00Z', version: 4 }), refused('index-rollback'));
  t.match(again({ generated_at: '2026-06-15T01:00:00Z', version: undefined }), refused('index-rollback'));
  t.match(again({ plugins: [] }), refused('index-equivocation'));
  t.match(again({ generated_at: '2026-06-15T00:00:00.000Z', plugins: [] }), refused('index-equivocation'), 'another spelling of the time');
});

t.test('given an unsigned index that claimed a high version, when a signed one comes, then it is not kept out', async (t) => {
  const seen = seenOf(makeIndex({ version: 2 ** 52 }), false);
  const low = makeIndex({ version: 1 });
  t.match(judge(signIndex(low, first.privateKey), { seen }), { ok: true });
  t.match(judge(signIndex(low, first.privateKey), { seen, pins: null }), refused('index-rollback'));
});

for (const [name, more, maxAgeDays, rule] of [
  ['that says it has ended', { expires_at: '2026-06-15T12:00:00Z' }, 90, 'index-expired'],
  ['that is older than the operator allows', {}, 0.5, 'index-expired'],
  ['of the future', { generated_at: '2026-06-16T00:06:00Z' }, 90, 'index-from-the-future'],
  ['whose time is none', { generated_at: 'xZ' }, 90, 'index-time'],
  ['whose hour is none', { generated_at: '2026-02-20T99:00:00Z' }, 90, 'index-time'],
  ['whose end is none', { expires_at: 'neverZ' }, 90, 'index-time'],
] as const) {
  t.test(`given a signed index ${name}, when it is judged, then it is refused as ${rule}`, async (t) => {
    t.match(judge(signIndex(makeIndex(more), first.privateKey), { maxAgeDays }), refused(rule));
  });
}

t.test('given no pinned keys, when an index is judged, then it can be looked at and is not called signed', async (t) => {
  t.match(judge(signIndex(makeIndex(), first.privateKey), { pins: null }), { ok: true, signed: false, signers: [] });
});
