import { hash } from 'node:crypto';
import { findSigners, type IndexPins } from './index-signatures.ts';
import type { PluginIndex } from './plugin-index.ts';

/** The newest index that was accepted from this place before. */
export type SeenIndex = { signed: boolean; generatedAt: string; version: number | null; payloadSha256: string };
export type IndexVerdict =
  | { ok: true; signed: boolean; signers: readonly string[]; payloadSha256: string }
  | { ok: false; rule: string; detail: string; hint: string };

const futureMs = 5 * 60_000; // clocks differ; more would let an index of today refuse those of tomorrow
const dayMs = 86_400_000;
const timeForm = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?Z$/;

const refuse = (rule: string, detail: string, hint: string): IndexVerdict => ({ ok: false, rule, detail, hint });
const parseTime = (text: string): number => (timeForm.test(text) ? Date.parse(text) : Number.NaN);

/** Until when an index may be used: as it says itself, or for so many days. Null when it says no readable time. */
export function expiryOf({ generatedAt, expiresAt }: Pick<PluginIndex, 'generatedAt' | 'expiresAt'>, maxAgeDays: number): number | null {
  const ends = expiresAt === null ? parseTime(generatedAt) + maxAgeDays * dayMs : parseTime(expiresAt);
  return Number.isNaN(ends) || Number.isNaN(parseTime(generatedAt)) ? null : ends;
}

type Circumstances = { pins: IndexPins | null; seen: SeenIndex | null; nowMs: number; maxAgeDays: number };

/**
 * Whether an index may take the place of the one before: signed by enough of the pinned keys, of the present time, and not older than what
 * was seen. Without pinned keys it can only be looked at (`signed` is false).
 */
export function judgeIndex({ index, payload }: { index: PluginIndex; payload: Uint8Array }, circumstances: Circumstances): IndexVerdict {
  const { pins, seen, nowMs, maxAgeDays } = circumstances;
  const signers = pins === null ? [] : findSigners(payload, index.signatures, pins);
  if (pins !== null && signers.length < pins.threshold)
    return refuse(
      index.signatures.length === 0 ? 'index-unsigned' : 'index-signature',
      `${signers.length} of the pinned index keys signed it, ${pins.threshold} must have`,
      'check "index" in the trust policy; only keys that you pinned count, each once',
    );
  const payloadSha256 = hash('sha256', payload, 'hex');
  // What nobody vouched for must not keep out what somebody does.
  const former = seen !== null && (seen.signed || pins === null) ? seen : null;
  return (
    checkTime(index, nowMs, maxAgeDays) ??
    (former === null ? null : checkRollback(index, payloadSha256, former)) ?? { ok: true, signed: pins !== null, signers, payloadSha256 }
  );
}

function checkTime(index: PluginIndex, nowMs: number, maxAgeDays: number): IndexVerdict | null {
  const ends = expiryOf(index, maxAgeDays);
  if (ends === null)
    return refuse('index-time', 'generated_at or expires_at is not a time like 2026-06-15T00:00:00Z', 'ask who publishes it');
  if (parseTime(index.generatedAt) > nowMs + futureMs)
    return refuse('index-from-the-future', `it was generated at ${index.generatedAt}`, 'check the clock of this machine');
  if (ends >= nowMs) return null;
  const hint = 'who publishes it must make it anew; an old one may hide revoked releases (see market in the policy file)';
  return refuse('index-expired', `it was good until ${new Date(ends).toISOString()}`, hint);
}

function checkRollback(index: PluginIndex, payloadSha256: string, seen: SeenIndex): IndexVerdict | null {
  const hint = 'somebody may be serving an old index; the newest one that was accepted stays in use';
  const now = parseTime(index.generatedAt);
  const before = parseTime(seen.generatedAt);
  if (now < before) return refuse('index-rollback', `it is of ${index.generatedAt}; one of ${seen.generatedAt} was accepted before`, hint);
  if (seen.version !== null && (index.version ?? -1) < seen.version)
    return refuse('index-rollback', `it has version ${index.version ?? 'none'}; version ${seen.version} was accepted before`, hint);
  if (now === before && payloadSha256 !== seen.payloadSha256)
    return refuse('index-equivocation', 'another index of the same time was accepted before', hint);
  return null;
}
