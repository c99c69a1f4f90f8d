import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import t from 'tap';
import { indexLimits } from '../../../supervisor/market/plugin-index.ts';
import { readIndex } from '../../../supervisor/market/read-index.ts';
import { makeIndex, makeListing, makeRelease, signIndex } from '../../support/make-index.ts';

type Case = { name: string; index: string; expect: { ok: boolean } };
const cases = gunzipSync(readFileSync(new URL('../../vectors/index-cases.jsonl.gz', import.meta.url)))
  .toString('utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Case);

/** What the public structural check lets through and this one refuses, by its rule. */
const stricter: Record<string, string> = {
  'plugin id "a_b"': 'id-underscore',
  'publisher id "a_b"': 'id-underscore',
  'capability "wireguard:admin"': 'capability-unsupported',
  'release capability "wireguard:admin"': 'capability-unsupported',
  'capability "wireguard:read"': 'capability-unsupported',
  'release capability "wireguard:read"': 'capability-unsupported',
  'raw/__proto__ key': 'forbidden-key',
};

t.test('given the cases that the public structural check judged, when they are read, then the verdicts are the same', async (t) => {
  t.ok(cases.length >= 250);
  for (const { name, index, expect } of cases) {
    const read = readIndex(Buffer.from(index, 'base64'));
    const rule = stricter[name];
    if (rule === undefined) t.equal(read.ok, expect.ok, `${name} ${read.ok ? '' : JSON.stringify(read.faults)}`);
    else t.match(read, { ok: false, faults: [{ rule }] }, name);
  }
});

const text = (value: unknown) => Buffer.from(JSON.stringify(value));
const draft = { ...makeIndex(), signatures: [], status: 'draft' };
const withRelease = (more: Record<string, unknown>) => ({ ...draft, plugins: [makeListing({}, [makeRelease(more)])] });
const deep = JSON.parse(`${'['.repeat(40)}${']'.repeat(40)}`);

for (const [name, bytes, rule] of [
  ['nothing in it', Buffer.from(''), 'invalid-json'],
  ['half of it gone', text(draft).subarray(0, 300), 'invalid-json'],
  ['bytes that are not UTF-8', Buffer.concat([text(draft), Buffer.from([0xff])]), 'invalid-utf8'],
  ['a second text behind it', Buffer.concat([text(draft), Buffer.from('{}')]), 'invalid-json'],
  ['a key twice', Buffer.from(JSON.stringify(draft).replace('{', '{"status":"official",')), 'duplicate-key'],
  ['a key twice far inside', Buffer.from(JSON.stringify(draft).replace('"version":', '"version":"9","version":')), 'duplicate-key'],
  ['nesting that no index has', text({ ...draft, more: deep }), 'too-deep'],
  ['more bytes than an index may have', Buffer.alloc(indexLimits.indexBytes + 1, 0x20), 'index-too-large'],
  ['more signatures than are checked', text({ ...draft, signatures: Array(indexLimits.signatures + 1).fill({}) }), 'too-many-signatures'],
  ['a version that is no number', text({ ...draft, version: '7' }), 'index-version'],
  ['an end that is no text', text({ ...draft, expires_at: 7 }), 'expires-at'],
  ['a size that is no number', text(withRelease({ artifact_bytes: '7' })), 'artifact-bytes'],
  ['a revocation without a reason', text(withRelease({ revoked: true })), 'revoked'],
  ['a URL as a list', text(withRelease({ artifact_url: ['https://x.invalid/a'] })), 'url'],
  ['a plugin twice', text({ ...draft, plugins: [makeListing(), makeListing()] }), 'duplicate-plugin'],
] as const) {
  t.test(`given an index with ${name}, when it is read, then it is refused as ${rule}`, async (t) => {
    const read = readIndex(Buffer.from(bytes));
    t.ok(!read.ok && read.faults.some((fault) => fault.rule === rule), JSON.stringify(read));
  });
}

t.test('given a huge number of faults, when they are listed, then the list is short', async (t) => {
  const read = readIndex(text({ ...draft, plugins: Array(5000).fill(7) }));
  t.equal(read.ok ? 0 : read.faults.length, indexLimits.faultsListed);
});

t.test('given what the form does not ask for, when an index is read, then the release carries it', async (t) => {
  const more = { manifest_sha256: 'b'.repeat(64), artifact_bytes: 7, revoked: 'stolen key', capabilities: ['log:write'] };
  t.match(readIndex(text(withRelease(more))), { ok: true, index: { plugins: [{ releases: [more] }] } });
});

t.test('given any JSON, and any change of an index, when it is read, then it is judged without a throw', async (t) => {
  const good = signIndex(draft);
  t.ok(readIndex(good).ok);
  fc.assert(
    fc.property(fc.json(), (any) => !readIndex(Buffer.from(any)).ok),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.uint8Array({ minLength: 1, maxLength: 4 }), (at, bytes) => {
      const changed = Buffer.from(good);
      changed.set(bytes.subarray(0, good.length - at), at);
      const read = readIndex(changed);
      return read.ok || read.faults.length > 0;
    }),
    { numRuns: 500 },
  );
  const anyField = fc.constantFrom('schema', 'status', 'generated_at', 'publishers', 'plugins', 'signatures', 'version', 'expires_at');
  fc.assert(
    fc.property(anyField, fc.jsonValue(), (field, value) => {
      const read = readIndex(text({ ...draft, [field]: value }));
      return read.ok || read.faults.every(({ rule }) => rule !== '');
    }),
    { numRuns: 500 },
  );
});
