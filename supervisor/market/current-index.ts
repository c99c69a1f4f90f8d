import { HostError } from '../../protocol/errors.ts';
import type { Clock } from '../clock.ts';
import { timestamp } from '../clock.ts';
import type { TrustPolicy } from '../trust-policy.ts';
import type { Examined } from './examine-index.ts';
import { findSigners, pinsOf } from './index-signatures.ts';
import type { IndexStore } from './index-store.ts';
import { expiryOf, judgeIndex, type SeenIndex } from './judge-index.ts';
import type { IndexStanding } from './judge-listing.ts';
import type { PluginIndex } from './plugin-index.ts';

export type HeldIndex = { index: PluginIndex; payload: Uint8Array; fetchedAt: string };
export type IndexProblem = { rule: string; detail: string; at: string };

type Deps = {
  store: IndexStore;
  policy(): TrustPolicy;
  clock: Clock;
  maxAgeDays: number;
  /** Off the event loop: an index has up to 1 MiB, and each signature covers all of it. */
  examineIndex(bytes: Uint8Array, keys: readonly string[]): Promise<Examined>;
};

/** The last good index, what stands against it now, and why a newer one was not taken. */
export async function createCurrentIndex({ store, policy, clock, maxAgeDays, examineIndex }: Deps) {
  let seen: SeenIndex | null = null;
  let held: HeldIndex | null = null;
  let problem: IndexProblem | null = null;
  let judged: { policy: TrustPolicy; held: HeldIndex; signers: string[] } | null = null;

  const examine = (body: Uint8Array): Promise<Examined> => examineIndex(body, pinsOf(policy())?.keys.map(({ base64 }) => base64) ?? []);

  const kept = await store.load();
  if (kept) {
    const read = await examine(kept.body);
    seen = kept;
    if (read.ok) held = { index: read.index, payload: read.payload, fetchedAt: kept.fetchedAt };
    else
      problem = {
        rule: read.faults[0]?.rule ?? 'invalid',
        detail: 'the index that was kept is refused by this version',
        at: timestamp(clock),
      };
  }

  function refuse(rule: string, detail: string, hint: string): never {
    problem = { rule, detail, at: timestamp(clock) };
    throw new HostError('verification-failed', `the index is refused: ${rule}: ${detail}`, { rule, hint });
  }

  /** The pinned keys may have changed since the index was taken, so this is asked anew; each policy is asked once. */
  function signersOf(of: HeldIndex): string[] {
    const present = policy();
    if (judged?.policy !== present || judged.held !== of) {
      const pins = pinsOf(present);
      judged = { policy: present, held: of, signers: pins === null ? [] : findSigners(of.payload, of.index.signatures, pins) };
    }
    return judged.signers;
  }

  return {
    held: () => held,
    problem: () => problem,
    failed(error: unknown): void {
      const known = error instanceof HostError ? error : null;
      problem = {
        rule: String(known?.details.rule ?? known?.code ?? 'internal'),
        detail: known?.message ?? 'internal error',
        at: timestamp(clock),
      };
    },

    /** Takes the place of the index before if it may; what is refused changes nothing but the reason that is shown. */
    async take(body: Buffer): Promise<void> {
      const read = await examine(body);
      if (!read.ok) {
        const [fault] = read.faults;
        return refuse(
          fault?.rule ?? 'invalid',
          `${fault?.pointer ?? ''} ${fault?.detail ?? ''}`.trim(),
          'lattice market check lists every fault',
        );
      }
      const verdict = judgeIndex(read, { pins: pinsOf(policy()), seen, nowMs: clock.wallMs(), maxAgeDays });
      if (!verdict.ok) return refuse(verdict.rule, verdict.detail, verdict.hint);
      const { index, payload } = read;
      const { signed, payloadSha256 } = verdict;
      const mark = { signed, generatedAt: index.generatedAt, version: index.version, payloadSha256 };
      const fetchedAt = timestamp(clock);
      await store.keep({ ...mark, body, fetchedAt });
      seen = mark;
      held = { index, payload, fetchedAt };
      problem = null;
    },

    standing(of: HeldIndex): IndexStanding & { signers: string[]; expiresAt: string } {
      const pins = pinsOf(policy());
      const signers = signersOf(of);
      const ends = expiryOf(of.index, maxAgeDays) ?? 0;
      const expired = clock.wallMs() > ends;
      const expiresAt = new Date(ends).toISOString();
      const count = pins === null ? '' : `${signers.length} of the pinned keys signed it, ${pins.threshold} must have; `;
      const detail = `${count}it ${expired ? 'was' : 'is'} good until ${expiresAt}`;
      return { signed: pins === null ? null : signers.length >= pins.threshold, expired, detail, signers, expiresAt };
    },
  };
}
export type CurrentIndex = Awaited<ReturnType<typeof createCurrentIndex>>;
