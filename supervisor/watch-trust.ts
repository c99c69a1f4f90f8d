import type { Clock, Timer } from './clock.ts';
import type { TrustPolicy } from './trust-policy.ts';

const lookAgainMs = 60_000; // the wall clock may be set meanwhile

/** Judges what runs again whenever a key of the policy has expired, without anybody asking for a rescan. Returns how to stop it. */
export function watchTrust(deps: { clock: Clock; policy(): TrustPolicy; judge(): void }): () => void {
  const { clock } = deps;
  let timer: Timer | null = null;
  let judgedAtMs = clock.wallMs();

  const expiries = (): number[] =>
    [...deps.policy().publishers.values()].flatMap(({ keys }) => keys.flatMap(({ notAfterMs }) => notAfterMs ?? []));

  function look(): void {
    const nowMs = clock.wallMs();
    const since = Math.min(judgedAtMs, nowMs);
    if (expiries().some((at) => at >= since && at < nowMs)) deps.judge();
    judgedAtMs = nowMs;
    const next = Math.min(...expiries().filter((at) => at >= nowMs));
    timer = clock.timer(Math.min(lookAgainMs, next - nowMs + 1), look);
  }

  look();
  return () => timer?.cancel();
}
