import { hash } from 'node:crypto';
import { renameSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HostError } from '../protocol/errors.ts';
import type { ManifestFault } from '../protocol/manifest.ts';
import type { Clock } from './clock.ts';
import { syncDirectory } from './durable-file.ts';
import { type Failpoints, noFailpoints } from './failpoints.ts';
import type { LoadedBundle } from './loaded-bundle.ts';
import { type Verdict, type VerifiedManifest, verifyManifest } from './manifest-verify.ts';
import type { Examined } from './market/examine-index.ts';
import { ownPlatform } from './platform.ts';
import type { RefusedBundle } from './plugin-view.ts';
import { incomingPrefix, removeTree } from './staging-folder.ts';
import { parseTrustPolicy, type TrustPolicy } from './trust-policy.ts';
import { createVerifyPool, mapSome } from './verify-pool.ts';

/** A bundle on disk that passed every check and whose bytes are staged. */
export type VerifiedBundle = { manifest: VerifiedManifest; bundleSha256: string; text: string; verifiedAt: string };
export type Scan = { verified: Map<string, VerifiedBundle>; refused: RefusedBundle[] };

export type BundleStoreDeps = {
  pluginDir: string;
  stagingDir: string;
  readPolicy(): Promise<Buffer>;
  allowUnsigned?: boolean;
  platform?: string;
  clock: Clock;
  failpoints?: Failpoints;
};

const foldersMost = 2000;

type Judged = Verdict | { ok: false; fault: ManifestFault };
const notInTime = { ok: false, fault: { code: 'unreadable', detail: 'the bundle could not be checked in time' }, id: null } as const;

/** Finds, verifies and stages bundles, and reads staged ones back for a start. Reading and hashing happen in a worker pool. */
export async function createBundleStore({
  pluginDir,
  stagingDir,
  readPolicy,
  allowUnsigned = false,
  platform = ownPlatform(),
  clock,
  failpoints = noFailpoints,
}: BundleStoreDeps) {
  await mkdir(stagingDir, { recursive: true, mode: 0o700 });
  await syncDirectory(dirname(stagingDir));
  await removeUnfinished(stagingDir);
  await syncDirectory(stagingDir); // a bundle that was named just before a crash is taken as staged from now on
  let policyBytes = await readPolicy();
  let policy: TrustPolicy = parseTrustPolicy(policyBytes, { allowUnsigned });
  const pool = createVerifyPool({ worker: failpoints.verifyWorker });
  const leases = new Set<{ bundleSha256: string }>();

  /** A bundle of the plugin directory, staged and judged again on this side: what a worker says is no proof of trust here. */
  async function stage(folder: string): Promise<{ folder: string; id: string | null; verdict: Judged }> {
    const job = {
      kind: 'stage',
      folder: join(pluginDir, folder),
      staging: stagingDir,
      policy: policyBytes,
      allowUnsigned,
      platform,
    } as const;
    const result = await pool.run({ ...job, nowMs: clock.wallMs() }).catch(() => notInTime);
    if (!result.ok) return { folder, id: result.id, verdict: result };
    const verdict = verifyManifest(Buffer.from(result.manifest), result.artifactSha256, policy, clock.wallMs());
    return { folder, id: null, verdict };
  }

  const checkArchive = (manifest: Uint8Array, artifact: Uint8Array): Promise<ManifestFault | null> =>
    pool.run({ kind: 'check', manifest, artifact, platform });

  return {
    /** Reads the trust policy again. A broken one throws and leaves the last good one in force. */
    async reloadPolicy(): Promise<void> {
      const bytes = await readPolicy();
      policy = parseTrustPolicy(bytes, { allowUnsigned });
      policyBytes = bytes;
    },

    /** Looks at every folder of the plugin directory. One bad bundle never stops the scan; its reason is listed. */
    async scan(): Promise<Scan> {
      const folders = await listFolders(pluginDir);
      const refused: RefusedBundle[] = folders.slice(foldersMost).map((folder) => ({
        folder: printableName(folder),
        code: 'too-many-folders',
        detail: `only the first ${foldersMost} are looked at`,
      }));
      const results = await mapSome(folders.slice(0, foldersMost), pool.width, stage);
      const found: { folder: string; bundle: VerifiedBundle }[] = [];
      const verifiedAt = new Date(clock.wallMs()).toISOString();
      for (const { folder, id, verdict } of results) {
        if (verdict.ok) {
          const { manifest, bundleSha256, text } = verdict;
          found.push({ folder, bundle: { manifest, bundleSha256, text, verifiedAt } });
        } else refused.push({ folder: printableName(folder), ...(id === null ? {} : { id }), ...verdict.fault });
      }
      return offer(found, refused);
    },

    /** The accepted bytes for a start, judged by the present policy. Throws HostError `verification-failed` when they may not run (any more). */
    async load(bundleSha256: string): Promise<LoadedBundle> {
      const loaded = await pool.run({ kind: 'load', staging: stagingDir, bundleSha256, platform });
      if (!loaded.ok) {
        // A copy that is not what was accepted is of no use; the next rescan stages the bundle anew, if it is still there.
        if (loaded.fault.code !== 'unreadable') removeTree(join(stagingDir, bundleSha256));
        throw refusal(loaded.fault);
      }
      const verdict = verifyManifest(Buffer.from(loaded.manifest), loaded.artifactSha256, policy, clock.wallMs());
      if (!verdict.ok) throw refusal(verdict.fault);
      if (verdict.bundleSha256 !== bundleSha256)
        throw refusal({ code: 'staged-copy-changed', detail: 'the staged manifest is not the accepted one' });
      const { artifactSha256, entry, root, files } = loaded;
      const { buffer, byteOffset, byteLength } = loaded.artifact;
      const artifact = Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
      return { manifest: verdict.manifest, bundleSha256, artifact, artifactSha256, entry, root, files };
    },

    /** What a scan would say about these bytes. Nothing of them is kept. */
    async verify(manifest: Buffer, artifact: Buffer): Promise<Verdict> {
      const verdict = verifyManifest(manifest, hash('sha256', artifact, 'hex'), policy, clock.wallMs());
      if (!verdict.ok || verdict.manifest.form !== 'v2') return verdict;
      const fault = await checkArchive(manifest, artifact);
      return fault ? { ok: false, fault, failed: 'artifact', passed: verdict.passed.filter((check) => check !== 'artifact') } : verdict;
    },

    /** Whether an archive could be staged; null when it could. Nothing of it is kept. */
    checkArchive,

    /** Reads a plugin index on a thread; of its signatures those come with it that these keys made. */
    examineIndex: (bytes: Uint8Array, keys: readonly string[]): Promise<Examined> => pool.run({ kind: 'examine', bytes, keys }),

    /** Whether the policy still trusts a manifest that was accepted earlier; null when it does. */
    judge(manifestText: string, artifactSha256: string): ManifestFault | null {
      const verdict = verifyManifest(Buffer.from(manifestText, 'utf8'), artifactSha256, policy, clock.wallMs());
      return verdict.ok ? null : verdict.fault;
    },

    /** Keeps a staged bundle from being collected while somebody is about to accept it. */
    async keepWhile<Result>(bundleSha256: string, job: () => Promise<Result>): Promise<Result> {
      const lease = { bundleSha256 };
      leases.add(lease);
      try {
        return await job();
      } finally {
        leases.delete(lease);
      }
    },

    /** Deletes staged bundles that nobody needs, asking about each in the moment in which it would go. */
    async collect(isNeeded: (bundleSha256: string) => boolean): Promise<void> {
      for (const name of await readdir(stagingDir)) {
        if (name.startsWith('.') || isNeeded(name) || [...leases].some(({ bundleSha256 }) => bundleSha256 === name)) continue;
        const doomed = join(stagingDir, `${doomedPrefix}${name}`);
        renameSync(join(stagingDir, name), doomed); // in the same turn as the question: nobody can come between
        failpoints.reach('staging.doomed');
        removeTree(doomed);
      }
    },

    policy: (): TrustPolicy => policy,
    close: pool.close,
  };
}

export type BundleStore = Awaited<ReturnType<typeof createBundleStore>>;

const refusal = (fault: ManifestFault): HostError =>
  new HostError('verification-failed', `${fault.code}: ${fault.detail}`, {
    rule: fault.code,
    hint: 'see the trust policy and the bundle with: lattice plugins refused',
  });

/** Two folders with one id: neither is offered, since an operator could not tell which one a name means. */
function offer(found: readonly { folder: string; bundle: VerifiedBundle }[], refused: RefusedBundle[]): Scan {
  const verified = new Map<string, VerifiedBundle>();
  const byId = Map.groupBy(found, ({ bundle }) => bundle.manifest.id);
  for (const [id, all] of byId) {
    const [only] = all;
    if (all.length === 1 && only) verified.set(id, only.bundle);
    else
      for (const { folder } of all)
        refused.push({
          folder: printableName(folder),
          id,
          code: 'duplicate-id',
          detail: `${all.length} folders hold the id ${id}; remove all but one`,
        });
  }
  return { verified, refused: refused.sort((a, b) => (a.folder < b.folder ? -1 : 1)) };
}

async function listFolders(pluginDir: string): Promise<string[]> {
  try {
    const entries = await readdir(pluginDir, { withFileTypes: true });
    return entries
      .filter((entry) => !entry.name.startsWith('.'))
      .map((entry) => entry.name)
      .sort();
  } catch (error) {
    throw new HostError('unavailable', `the plugin directory cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`, {
      hint: 'check LATTICE_PLUGIN_DIR',
    });
  }
}

/** A folder's name is the disk's, hence anybody's: it is shown, so it must not write on a terminal. */
const printableName = (name: string): string => name.slice(0, 80).replace(/[^\x20-\x7e]/g, '?');

const doomedPrefix = '.removed-';

/** What a service left behind that was killed in the middle. */
async function removeUnfinished(stagingDir: string): Promise<void> {
  for (const name of await readdir(stagingDir))
    if (name.startsWith(incomingPrefix) || name.startsWith(doomedPrefix)) removeTree(join(stagingDir, name));
}
