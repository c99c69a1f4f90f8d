import { type ManifestFault, parseManifest } from '../../protocol/manifest.ts';
import type { Manifest } from '../../protocol/manifest-form.ts';
import { type Check, type Verdict, verifyManifest } from '../manifest-verify.ts';
import { type CheckRow, fail, type InstallCheck, installCheckNames, pass, unknown } from './install-checks.ts';
import { type Circumstances, judgeCapabilities, judgeSandbox, judgeStanding, judgeTrust, riskOf } from './judge-listing.ts';
import type { ListedPlugin, Release } from './plugin-index.ts';

export type Fetched = {
  manifest: Buffer;
  manifestSha256: string;
  artifactSha256: string;
  artifactBytes: number;
  archiveFault: ManifestFault | null;
};

/** Which of the six a check of the service's own verifier is part of. */
const partOf: Readonly<Record<Check, InstallCheck>> = {
  manifest: 'manifest-signature',
  artifact: 'artifact-digest',
  publisher: 'publisher-trust',
  signature: 'manifest-signature',
  reach: 'publisher-trust',
  revocation: 'publisher-trust',
};
const capabilityRules = new Set(['unknown-capability', 'risk-not-allowed']);

/** All six checks of what was fetched: by the service's own verifier, and against what the index says of it. The first fault of each stands. */
export function judgeBundle(plugin: ListedPlugin, release: Release, fetched: Fetched, circumstances: Circumstances): CheckRow[] {
  const { policy, nowMs, standing, sandbox } = circumstances;
  const { archiveFault } = fetched;
  const verdict = verifyManifest(fetched.manifest, fetched.artifactSha256, policy, nowMs);
  const parsed = parseManifest(fetched.manifest);
  const manifest = parsed.ok ? parsed.manifest : null;
  const most = policy.publishers.get(plugin.publisher)?.maxRisk ?? 'host';
  const found: (CheckRow | null)[] = [
    judgeStanding(standing),
    ...compareDigests(release, fetched),
    parsed.ok ? compareManifest(plugin, release, parsed.manifest, parsed.signed.signature) : null,
    judgeTrust(plugin, release, policy, nowMs),
    rowOfVerdict(verdict),
    manifest && judgeCapabilities(manifest.type, manifest.capabilities, most),
    manifest && judgeSandbox(manifest.type, manifest.engine, riskOf(manifest.capabilities), sandbox),
    archiveFault && fail('artifact-digest', archiveFault.code, archiveFault.detail),
  ];
  return installCheckNames.map((check) => {
    const own = found.filter((row) => row?.check === check);
    const worst = own.find((row) => row?.verdict === 'fail') ?? own.find((row) => row?.verdict === 'unknown') ?? own[0];
    if (worst) return worst;
    return verdict.ok ? pass(check) : unknown(check, 'not-reached', 'an earlier check failed');
  });
}

function rowOfVerdict(verdict: Verdict): CheckRow | null {
  if (verdict.ok) return verdict.manifest.unsigned ? fail('manifest-signature', 'unsigned', 'nothing unsigned comes from an index') : null;
  const { code, detail } = verdict.fault;
  return fail(capabilityRules.has(code) ? 'capabilities' : partOf[verdict.failed], code, detail);
}

function compareDigests(release: Release, { manifestSha256, artifactSha256, artifactBytes }: Fetched): (CheckRow | null)[] {
  const { artifact_sha256: pinned, artifact_bytes: bytes, manifest_sha256: manifestPinned } = release;
  return [
    pinned === artifactSha256
      ? null
      : fail('artifact-digest', 'index-mismatch', `the index names the artifact ${pinned}, this is ${artifactSha256}`),
    bytes === null || bytes === artifactBytes
      ? null
      : fail('artifact-digest', 'size-mismatch', `the index says ${bytes} bytes, these are ${artifactBytes}`),
    manifestPinned === null || manifestPinned === manifestSha256
      ? null
      : fail('manifest-signature', 'index-mismatch', `the index names the manifest ${manifestPinned}, this is ${manifestSha256}`),
  ];
}

/** Parts that are each good by themselves may not belong together: a manifest of another version, say. */
function compareManifest(plugin: ListedPlugin, release: Release, manifest: Manifest, signature: string): CheckRow | null {
  const said = { id: plugin.id, publisher: plugin.publisher, type: plugin.type, version: release.version };
  for (const [name, value] of Object.entries(said)) {
    const own = manifest[name as keyof typeof said];
    if (own !== value)
      return fail('manifest-signature', 'index-mismatch', `the index says ${name} ${value}, the manifest says ${own.slice(0, 128)}`);
  }
  if (!Buffer.from(signature, 'base64').equals(Buffer.from(release.signature_ed25519, 'base64')))
    return fail('manifest-signature', 'index-mismatch', 'the index has another signature than the manifest');
  const [own, listed] = [manifest.capabilities, release.capabilities].map((names) => [...names].sort().join(' '));
  return own === listed ? null : fail('capabilities', 'index-mismatch', `the index lists ${listed}, the manifest asks for ${own}`);
}
