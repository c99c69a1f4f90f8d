import { resolve } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import { parseStrict } from '../../protocol/strict-json.ts';
import { findSigners, indexPayload, pinsOf, signIndexPayload } from '../market/index-signatures.ts';
import { expiryOf, judgeIndex } from '../market/judge-index.ts';
import { indexLimits } from '../market/plugin-index.ts';
import { type ReadIndex, readIndex } from '../market/read-index.ts';
import { marketDefaults } from '../policy.ts';
import { replaceWhole } from '../publish/place-bundle.ts';
import { publicKeyText, readPrivateKey } from '../publish/private-key.ts';
import type { TrustPolicy } from '../trust-policy.ts';
import { type CheckRow, showChecks } from './checks.ts';
import type { Cli } from './cli.ts';
import { readFileOf, readTrustFile } from './trust-file.ts';

type Signature = { publisher: string; signature_ed25519: string };

/** Looks at an index without a service: its shape, its time, and with a trust policy its signatures. */
export async function checkIndexFile(cli: Cli, file: string, options: { trust?: string }): Promise<void> {
  const read = readIndex(readFileOf(resolve(file), indexLimits.indexBytes + 1));
  const policy = readTrustFile(cli, options.trust);
  const checks = read.ok
    ? [shapeRow('it is well formed'), signatureRow(read, policy), timeRow(read, cli.io.clock.wallMs())]
    : read.faults.map(
        ({ rule, pointer, detail }): CheckRow => ({
          check: 'form',
          verdict: 'fail',
          rule,
          reason: `${pointer === '' ? '' : `${pointer} `}${detail}`,
        }),
      );
  const counted = read.ok
    ? { plugins: read.index.plugins.length, generated_at: read.index.generatedAt, version: read.index.version }
    : { plugins: null, generated_at: null, version: null };
  await showChecks(cli, `the index ${file}`, counted, checks, 'mend the index, and sign it anew');
}

const shapeRow = (reason: string): CheckRow => ({ check: 'form', verdict: 'pass', rule: null, reason });

function signatureRow({ index, payload }: ReadIndex & { ok: true }, policy: TrustPolicy | null): CheckRow {
  const check = 'index-signature';
  const pins = policy === null ? null : pinsOf(policy);
  if (pins === null) {
    const reason = policy === null ? 'no trust policy was named (--trust)' : 'the trust policy pins no index keys';
    return { check, verdict: 'unknown', rule: 'index-keys-not-pinned', reason };
  }
  const count = findSigners(payload, index.signatures, pins).length;
  const reason = `${count} of the ${pins.keys.length} pinned keys signed it, ${pins.threshold} must have`;
  return count >= pins.threshold
    ? { check, verdict: 'pass', rule: null, reason }
    : { check, verdict: 'fail', rule: 'index-signature', reason };
}

function timeRow(read: ReadIndex & { ok: true }, nowMs: number): CheckRow {
  const check = 'time';
  const { maxAgeDays } = marketDefaults;
  const verdict = judgeIndex(read, { pins: null, seen: null, nowMs, maxAgeDays });
  if (!verdict.ok) return { check, verdict: 'fail', rule: verdict.rule, reason: verdict.detail };
  return {
    check,
    verdict: 'pass',
    rule: null,
    reason: `it is good until ${new Date(expiryOf(read.index, maxAgeDays) ?? 0).toISOString()}`,
  };
}

/** Signs an index, in place of an earlier signature of the same publisher and beside those of others. */
export async function signIndexFile(cli: Cli, file: string, options: { key: string; publisher: string }): Promise<void> {
  const key = readPrivateKey(resolve(options.key));
  const target = resolve(file);
  const parsed = parseStrict(readFileOf(target, indexLimits.indexBytes), indexLimits.depth);
  if (!parsed.ok || typeof parsed.value !== 'object' || parsed.value === null || Array.isArray(parsed.value))
    throw refuse(parsed.ok ? 'not-an-object' : parsed.rule, parsed.ok ? 'an index is an object' : parsed.detail);
  const raw = parsed.value as Record<string, unknown>; // just checked
  const others = (Array.isArray(raw.signatures) ? (raw.signatures as Signature[]) : []).filter(
    (row) => row?.publisher !== options.publisher,
  );
  const signature = { publisher: options.publisher, signature_ed25519: signIndexPayload(indexPayload(raw), key) };
  const bytes = Buffer.from(`${JSON.stringify({ ...raw, signatures: [...others, signature] }, null, 2)}\n`);
  const checked = readIndex(bytes);
  const [fault] = checked.ok ? [] : checked.faults;
  if (fault) throw refuse(fault.rule, `${fault.pointer} ${fault.detail}`);
  replaceWhole(target, bytes);
  const signed = { publisher: options.publisher, public_key: publicKeyText(key), signatures: others.length + 1 };
  await cli.show(signed, () => `the index is signed with the key ${signed.public_key}; it has ${signed.signatures} signature(s)\n`);
}

const refuse = (rule: string, detail: string): HostError =>
  new HostError('verification-failed', `the index is not signed: ${rule}: ${detail}`, {
    rule,
    hint: 'lattice market check lists every fault',
  });
