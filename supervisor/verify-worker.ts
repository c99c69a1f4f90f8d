import { hash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { move, transferableSymbol, valueSymbol } from 'piscina';
import { type ManifestFault, manifestLimits } from '../protocol/manifest.ts';
import { verifyManifest } from './manifest-verify.ts';
import { BundleFault, hashArtifact, readCapped } from './read-bundle.ts';
import { parseTrustPolicy } from './trust-policy.ts';

export type StageJob = { kind: 'stage'; folder: string; staging: string; policy: Uint8Array; allowUnsigned: boolean; nowMs: number };
export type LoadJob = { kind: 'load'; bundleSha256: string; staging: string };
export type Staged = { ok: true; bundleSha256: string; manifest: Uint8Array; artifactSha256: string } | { ok: false; fault: ManifestFault };
export type Loaded = { ok: true; manifest: Uint8Array; artifact: Uint8Array; artifactSha256: string } | { ok: false; fault: ManifestFault };

/** Entry of the worker pool: everything that reads or hashes a bundle happens here, off the event loop. */
export default function work(job: StageJob | LoadJob): Staged | Loaded {
  try {
    return job.kind === 'stage' ? stage(job) : load(job);
  } catch (error) {
    if (error instanceof BundleFault) return { ok: false, fault: { code: error.code, detail: error.message } };
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    return { ok: false, fault: { code: 'unreadable', detail: `the bundle could not be read or staged (${code})` } };
  }
}

/** Verifies a bundle and keeps its bytes in staging, under the SHA-256 of its manifest; a refused one leaves nothing there. */
function stage({ folder, staging, policy, allowUnsigned, nowMs }: StageJob): Staged {
  if (!lstatSync(folder).isDirectory()) throw new BundleFault('not-a-folder', 'a bundle is a folder, not a link or a file');
  const manifest = readCapped(join(folder, 'manifest.json'), 'manifest.json', manifestLimits.manifestBytes);
  const bundleSha256 = hash('sha256', manifest, 'hex');
  const home = join(staging, bundleSha256);
  const judge = (artifactSha256: string): Staged => {
    const verdict = verifyManifest(manifest, artifactSha256, parseTrustPolicy(policy, { allowUnsigned }), nowMs);
    return verdict.ok ? { ok: true, bundleSha256, manifest, artifactSha256 } : verdict;
  };
  if (existsSync(home)) return judge(hashArtifact(join(folder, 'artifact'), null));
  const temporary = mkdtempSync(join(staging, '.incoming-'));
  try {
    const verdict = judge(hashArtifact(join(folder, 'artifact'), join(temporary, 'artifact')));
    if (!verdict.ok) return verdict;
    writeDurably(join(temporary, 'manifest.json'), manifest);
    chmodSync(temporary, 0o500);
    syncFolder(temporary);
    renameUnlessThere(temporary, home);
    syncFolder(staging);
    return verdict;
  } finally {
    if (existsSync(temporary)) {
      chmodSync(temporary, 0o700);
      rmSync(temporary, { recursive: true, force: true });
    }
  }
}

/** Another thread may have staged the same bundle in this moment: its bytes are the same, so its copy is as good. */
function renameUnlessThere(temporary: string, home: string): void {
  try {
    renameSync(temporary, home);
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** Reads a staged bundle back for a start: its digest is taken of the very bytes that are handed on. */
function load({ staging, bundleSha256 }: LoadJob): Loaded {
  const home = join(staging, bundleSha256);
  const manifest = readCapped(join(home, 'manifest.json'), 'manifest.json', manifestLimits.manifestBytes);
  if (hash('sha256', manifest, 'hex') !== bundleSha256)
    throw new BundleFault('staged-copy-changed', 'the staged manifest is not the accepted one');
  const artifact = readCapped(join(home, 'artifact'), 'artifact', manifestLimits.artifactBytes);
  const bytes = new Uint8Array(artifact); // a buffer of its own, so that it can be moved to the main thread instead of copied
  const loaded: Loaded = { ok: true, manifest, artifact: bytes, artifactSha256: hash('sha256', bytes, 'hex') };
  const moved = { [transferableSymbol]: [bytes.buffer], [valueSymbol]: loaded };
  return move(moved) as unknown as Loaded; // piscina hands the main thread its value
}

function writeDurably(file: string, bytes: Uint8Array): void {
  const descriptor = openSync(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o400);
  try {
    for (let written = 0; written < bytes.length; ) written += writeSync(descriptor, bytes, written);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function syncFolder(folder: string): void {
  const descriptor = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
