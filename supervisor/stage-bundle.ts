import { hash } from 'node:crypto';
import { existsSync, lstatSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { type ManifestFault, manifestLimits, parseManifest } from '../protocol/manifest.ts';
import { parseStrict } from '../protocol/strict-json.ts';
import { noFailpoints, type Reach } from './failpoints.ts';
import { type Verdict, verifyManifest } from './manifest-verify.ts';
import { BundleFault, type FileDigest, hashFile, inFolder, readCapped } from './read-bundle.ts';
import { createFile, removeTree, sealTree, syncFolder, withIncoming, writeDurably } from './staging-folder.ts';
import { parseTrustPolicy } from './trust-policy.ts';
import { unpackArchive } from './unpack-archive.ts';

export type StageJob = {
  kind: 'stage';
  folder: string;
  staging: string;
  policy: Uint8Array;
  allowUnsigned: boolean;
  platform: string;
  nowMs: number;
};
/** `id` of a refused bundle is what its manifest says, which nobody vouches for. */
export type Staged =
  | { ok: true; bundleSha256: string; manifest: Uint8Array; artifactSha256: string }
  | { ok: false; fault: ManifestFault; id: string | null };

/** Verifies a bundle and keeps its bytes in staging, under its name; a refused one leaves nothing there. */
export async function stageBundle(job: StageJob, reach: Reach = noFailpoints.reach): Promise<Staged> {
  let id: string | null = null;
  try {
    return await inFolder(job.folder, async (at) => {
      const manifest = readCapped(at('manifest.json'), 'manifest.json', manifestLimits.manifestBytes);
      id = claimedId(manifest);
      const parsed = parseManifest(manifest);
      if (!parsed.ok) return { ok: false, fault: parsed.fault, id }; // before 64 MiB are read in vain
      const judged = judgeKept(job, at, manifest) ?? (await keep(job, at, manifest, reach));
      if (!judged.verdict.ok) return { ok: false, fault: judged.verdict.fault, id };
      return { ok: true, bundleSha256: judged.verdict.bundleSha256, manifest, artifactSha256: judged.artifactSha256 };
    });
  } catch (error) {
    return { ok: false, fault: asFault(error), id };
  }
}

type Judged = { verdict: Verdict; artifactSha256: string };
type At = (name: string) => string;

const judge = ({ policy, allowUnsigned, nowMs }: StageJob, manifest: Buffer, artifactSha256: string): Verdict =>
  verifyManifest(manifest, artifactSha256, parseTrustPolicy(policy, { allowUnsigned }), nowMs);

/** A bundle that is staged already is read and judged again, but not copied again; null when it is not there, or not whole. */
function judgeKept(job: StageJob, at: At, manifest: Buffer): Judged | null {
  if (!existsSync(join(job.staging, hash('sha256', manifest, 'hex')))) return null;
  const { sha256, sizeBytes } = hashFile(at('artifact'), 'artifact', manifestLimits.artifactBytes);
  const verdict = judge(job, manifest, sha256);
  if (verdict.ok && !isIntact(job.staging, verdict, manifest.length, sizeBytes)) return null;
  return { verdict, artifactSha256: sha256 };
}

const keep = (job: StageJob, at: At, manifest: Buffer, reach: Reach): Promise<Judged> =>
  withIncoming(job.staging, async (incoming) => {
    const { sha256, sizeBytes } = copyArtifact(at('artifact'), join(incoming, 'artifact'));
    reach('staging.copied');
    const verdict = judge(job, manifest, sha256);
    if (verdict.ok && !isIntact(job.staging, verdict, manifest.length, sizeBytes)) {
      writeDurably(join(incoming, 'manifest.json'), manifest);
      reach('staging.filled');
      await settle(incoming, verdict, job, reach);
    }
    return { verdict, artifactSha256: sha256 };
  });

function copyArtifact(from: string, to: string): FileDigest {
  const copy = createFile(to, 0o400);
  try {
    const digest = hashFile(from, 'artifact', manifestLimits.artifactBytes, copy.write);
    copy.end();
    return digest;
  } finally {
    copy.abandon();
  }
}

/** Puts a filled folder in its place, durably and read-only. */
async function settle(
  incoming: string,
  { manifest, bundleSha256 }: Verified,
  { platform, staging }: StageJob,
  reach: Reach,
): Promise<void> {
  const home = join(staging, bundleSha256);
  if (manifest.form === 'v2') {
    const archive = readCapped(join(incoming, 'artifact'), 'artifact', manifestLimits.artifactBytes);
    await unpackArchive(archive, join(incoming, 'files'), { manifest, platform });
  }
  sealTree(incoming);
  reach('staging.sealed');
  removeTree(home); // not there, or not what it should be
  try {
    renameSync(incoming, home);
  } catch (error) {
    // Another thread may have staged the same bundle in this moment: its bytes are the same, so its copy is as good.
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
  reach('staging.named');
  syncFolder(staging);
  reach('staging.durable');
}

type Verified = Verdict & { ok: true };

/** Whether a staged copy is there and looks whole; its bytes are hashed again at each start. */
function isIntact(staging: string, { manifest, bundleSha256 }: Verified, manifestBytes: number, artifactBytes: number): boolean {
  const home = join(staging, bundleSha256);
  const isFolder = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  const isFile = (name: string, sizeBytes: number): boolean => {
    const found = lstatSync(join(home, name), { throwIfNoEntry: false });
    return found?.isFile() === true && found.size === sizeBytes && (found.mode & 0o222) === 0;
  };
  if (!isFolder(home) || !isFile('manifest.json', manifestBytes) || !isFile('artifact', artifactBytes)) return false;
  return manifest.form !== 'v2' || isFolder(join(home, 'files'));
}

function claimedId(manifest: Uint8Array): string | null {
  const parsed = parseStrict(manifest);
  const value = parsed.ok && typeof parsed.value === 'object' && parsed.value !== null && 'id' in parsed.value ? parsed.value.id : null;
  return typeof value === 'string' && /^[a-z0-9][a-z0-9._-]{1,126}[a-z0-9]$/.test(value) ? value : null;
}

export function asFault(error: unknown): ManifestFault {
  if (error instanceof BundleFault) return { code: error.code, detail: error.message };
  const code = (error as NodeJS.ErrnoException).code ?? 'error';
  return { code: 'unreadable', detail: `the bundle could not be read or staged (${code})` };
}
