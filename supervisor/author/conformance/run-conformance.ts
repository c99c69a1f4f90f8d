import type { Clock } from '../../clock.ts';
import { policy } from '../../dev/harness/mock-world.ts';
import { openSource } from '../../dev/harness/source-bundle.ts';
import type { Workshop } from '../../dev/harness/workshop.ts';
import { createLaunch } from '../../launch-plugin.ts';
import type { Launch } from '../../runner.ts';
import type { Call } from './check-steps.ts';
import { checks } from './checks.ts';
import { openSession } from './session.ts';

export type Verdict = { check: string; title: string; verdict: 'pass' | 'fail' | 'skip'; detail: string };
export type Conformance = { id: string; version: string; engine: string; sandbox: string; ok: boolean; checks: Verdict[] };
type Deps = { workshop: Workshop; clock: Clock; onVerdict?(verdict: Verdict): void };
type Options = { call?: Call; only?: readonly string[]; config?: Readonly<Record<string, unknown>> };

/** Runs the suite against the sources or the bundle in this folder, each check with a plugin started for it alone, in its cage. */
export async function runConformance(folder: string, deps: Deps, { call, only, config = {} }: Options = {}): Promise<Conformance> {
  const bundle = await openSource(folder).load();
  const { manifest } = bundle;
  const [service] = manifest.services ?? [];
  const [method] = service?.methods ?? [];
  const chosen = call ?? (service && method ? { service: service.name, method: method.name, payload: {} } : null);
  const verdicts: Verdict[] = [];
  let generation = 0;
  for (const [check, { title, needsCall }] of Object.entries(checks)) {
    if (only && !only.includes(check)) continue;
    const skipped = needsCall && chosen === null;
    const verdict: Verdict = skipped
      ? { check, title, verdict: 'skip', detail: 'the manifest declares no service' }
      : { check, title, ...(await tryCheck(check, createLaunch(bundle, ++generation, config, policy.ceilings, []), chosen, deps)) };
    verdicts.push(verdict);
    deps.onVerdict?.(verdict);
  }
  return {
    id: manifest.id,
    version: manifest.version,
    engine: manifest.engine,
    sandbox: deps.workshop.runner.sandbox()?.level ?? 'none',
    ok: verdicts.every(({ verdict }) => verdict !== 'fail'),
    checks: verdicts,
  };
}

async function tryCheck(
  name: string,
  launch: Launch,
  call: Call | null,
  { workshop, clock }: Deps,
): Promise<Pick<Verdict, 'verdict' | 'detail'>> {
  const session = await openSession(workshop.runner, launch, clock);
  try {
    const remark = await checks[name]?.run({ session, launch, call });
    const [fault] = session.faults;
    return fault === undefined ? { verdict: 'pass', detail: remark ?? '' } : { verdict: 'fail', detail: fault };
  } catch (thrown) {
    const [fault] = session.faults; // what it said wrong is nearer to the cause than what it did not say
    return { verdict: 'fail', detail: fault ?? (thrown instanceof Error ? thrown.message : String(thrown)) };
  } finally {
    await session.close();
  }
}
