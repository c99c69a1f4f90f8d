import { hash } from 'node:crypto';
import type { Command } from 'commander';
import type { Verdict } from '../manifest-verify.ts';
import type { TrustPolicy } from '../trust-policy.ts';
import { type CheckRow, showChecks } from './checks.ts';
import type { Cli } from './cli.ts';

export function addVerifyVerb(program: Command, cli: Cli): void {
  program
    .command('verify <bundle>')
    .description('check a bundle as the service would: each check, and the one that fails with its rule')
    .option('--trust <file>', 'the trust policy to judge by; else LATTICE_PLUGIN_TRUST')
    .action((bundle: string, { trust }: { trust?: string }) => verify(cli, bundle, trust));
}

const noPolicy: TrustPolicy = {
  publishers: new Map(),
  revokedKeys: new Set(),
  revokedBundles: new Set(),
  index: null,
  allowUnsigned: false,
  allowUnsignedHostRisk: false,
  isExtended: true,
};

async function verify(cli: Cli, folder: string, trust: string | undefined): Promise<void> {
  const { openBundle } = await import('../publish/open-bundle.ts');
  const { verifyManifest } = await import('../manifest-verify.ts');
  const { readTrustFile } = await import('./trust-file.ts');
  const policy = readTrustFile(cli, trust);
  const { home, manifest, artifact } = openBundle(folder);
  const artifactSha256 = hash('sha256', artifact, 'hex');
  const verdict = verifyManifest(manifest, artifactSha256, policy ?? noPolicy, cli.io.clock.wallMs());
  const about = { bundle_sha256: hash('sha256', manifest, 'hex'), artifact_sha256: artifactSha256, ...describe(verdict) };
  const checks = [...(await listChecks(verdict)), ...(await listArchive(verdict, manifest, artifact))];
  await showChecks(cli, home, about, checks, hintFor(verdict, folder, policy !== null));
}

function hintFor(verdict: Verdict, folder: string, hasPolicy: boolean): string {
  if (!verdict.ok && verdict.failed === 'manifest' && verdict.fault.code === 'unsigned') return `lattice sign ${folder} --key <file>`;
  return hasPolicy ? 'lattice inspect shows what the bundle says' : 'name the trust policy that is to judge it with --trust';
}

/** The archive of a v2 bundle is unpacked before it runs: that must be possible, here and for this machine. */
async function listArchive(verdict: Verdict, manifest: Buffer, artifact: Buffer): Promise<CheckRow[]> {
  if (!verdict.ok || verdict.manifest.entrypoints === null) return [];
  const { checkArchive } = await import('../check-archive.ts');
  const { ownPlatform } = await import('../platform.ts');
  const platform = ownPlatform();
  const fault = await checkArchive({ kind: 'check', manifest, artifact, platform });
  if (fault) return [{ check: 'archive', verdict: 'fail', rule: fault.code, reason: fault.detail }];
  return [{ check: 'archive', verdict: 'pass', rule: null, reason: `the archive can be unpacked and holds the program for ${platform}` }];
}

const describe = (verdict: Verdict) => {
  if (!verdict.ok) return { id: null, version: null, publisher: null };
  const { id, version, publisher } = verdict.manifest;
  return { id, version, publisher };
};

async function listChecks(verdict: Verdict): Promise<CheckRow[]> {
  const { checks } = await import('../manifest-verify.ts');
  const failed = verdict.ok ? null : verdict.failed;
  return Object.entries(checks).map(([check, sentence]): CheckRow => {
    if (verdict.passed.some((name) => name === check)) return { check, verdict: 'pass', rule: null, reason: sentence };
    if (!verdict.ok && check === failed) return { check, verdict: 'fail', rule: verdict.fault.code, reason: verdict.fault.detail };
    return { check, verdict: 'unknown', rule: null, reason: 'not reached' };
  });
}
