import { type Capability, highestRisk, isCapability, type Risk, risks, typeRefusal } from '../../protocol/capabilities.ts';
import { judgePublisher } from '../judge-publisher.ts';
import type { SandboxView } from '../plugin-view.ts';
import { chooseLevel, isLevel } from '../sandbox/levels.ts';
import type { TrustPolicy } from '../trust-policy.ts';
import { type CheckRow, fail, pass, unknown } from './install-checks.ts';
import type { ListedPlugin, Release } from './plugin-index.ts';

/** How the index stands at this moment: null is what no pinned key can tell. */
export type IndexStanding = { signed: boolean | null; expired: boolean; detail: string };
export type Circumstances = {
  standing: IndexStanding;
  policy: TrustPolicy;
  sandbox: SandboxView | null; // null: the runner starts no process
  nowMs: number;
};

/** The six checks as far as the index alone can tell. */
export function judgeListing(plugin: ListedPlugin, release: Release, circumstances: Circumstances): CheckRow[] {
  const { standing, policy, nowMs, sandbox } = circumstances;
  return [
    judgeStanding(standing),
    judgeTrust(plugin, release, policy, nowMs),
    unknown('manifest-signature', 'not-fetched', 'the manifest has not been fetched'),
    unknown('artifact-digest', 'not-fetched', 'the artifact has not been fetched'),
    judgeCapabilities(plugin.type, release.capabilities, policy.publishers.get(plugin.publisher)?.maxRisk ?? 'host'),
    judgeSandbox(plugin.type, null, riskOf(release.capabilities), sandbox),
  ];
}

export function judgeStanding({ signed, expired, detail }: IndexStanding): CheckRow {
  if (signed === null) return unknown('index-signature', 'index-keys-not-pinned', 'the trust policy pins no index keys');
  if (!signed) return fail('index-signature', 'index-signature', detail);
  return expired ? fail('index-signature', 'index-expired', detail) : pass('index-signature', detail);
}

export function judgeTrust({ id, publisher }: ListedPlugin, release: Release, policy: TrustPolicy, nowMs: number): CheckRow {
  if (release.revoked !== null) return fail('publisher-trust', 'release-revoked', `the index revokes it: ${release.revoked}`);
  if (release.manifest_sha256 !== null && policy.revokedBundles.has(release.manifest_sha256))
    return fail('publisher-trust', 'bundle-revoked', 'the trust policy revokes this bundle');
  const fault = judgePublisher(policy, publisher, id, nowMs);
  return fault
    ? fail('publisher-trust', fault.code, fault.detail)
    : pass('publisher-trust', `the trust policy lets ${publisher} sign ${id}`);
}

/** The highest risk of what is listed; a name that we do not know counts as the highest. */
export const riskOf = (names: readonly string[]): Risk => (names.every(isCapability) ? highestRisk(names as Capability[]) : 'host');

export function judgeCapabilities(type: ListedPlugin['type'], names: readonly string[], most: Risk): CheckRow {
  for (const name of names) {
    if (!isCapability(name)) return fail('capabilities', 'unknown-capability', `${name} is not granted by this service`);
    const refusal = typeRefusal(type, name);
    if (refusal !== null) return fail('capabilities', 'capability-of-type', refusal);
  }
  const risk = riskOf(names);
  if (risks.indexOf(risk) > risks.indexOf(most))
    return fail('capabilities', 'risk-not-allowed', `the publisher may sign up to risk ${most}, and this is ${risk}`);
  return pass('capabilities', `the highest risk is ${risk}: ${names.join(' ')}`);
}

/** `engine` is null while only the index is known: then it can be refused, but not yet promised. */
export function judgeSandbox(type: ListedPlugin['type'], engine: string | null, risk: Risk, sandbox: SandboxView | null): CheckRow {
  if (type !== 'system') return fail('sandbox', 'not-run-here', `plugins of type ${type} are not run by this version`);
  if (engine !== null && engine !== 'node' && engine !== 'native')
    return fail('sandbox', 'not-run-here', `the engine ${engine} is not run by this version`);
  if (sandbox === null) return unknown('sandbox', 'noop-runner', 'the service runs with the runner noop, which has no sandbox');
  const minimum = sandbox.minimum === 'auto' || isLevel(sandbox.minimum) ? sandbox.minimum : 'isolated';
  const available = isLevel(sandbox.level) ? sandbox.level : 'none';
  const choice = chooseLevel({ minimum, available, engine: engine === 'native' ? 'native' : 'node', hostRisk: risk === 'host' });
  if (!choice.ok) return fail('sandbox', 'sandbox-unavailable', choice.error.message);
  if (engine === null)
    return unknown('sandbox', 'not-fetched', `sandbox level ${choice.level} is available; the manifest names the engine`);
  return pass('sandbox', `it would run at sandbox level ${choice.level}`);
}
