import type { VerifiedManifest } from './manifest-verify.ts';

/** One further file of an unpacked v2 archive: it lies read-only in staging and was hashed again when the bundle was loaded. */
export type BundleFile = { path: string; stagedPath: string; sizeBytes: number; sha256: string; isExecutable: boolean };

/** An accepted bundle, verified again for one start. */
export type LoadedBundle = {
  manifest: VerifiedManifest;
  bundleSha256: string;
  artifactSha256: string; // of the artifact as the manifest pins it; for v2 that is the archive
  artifact: Buffer; // what is run: the artifact itself, or the file that a v2 manifest names for this platform
  entry: { path: string; sha256: string }; // path inside the bundle (`artifact` unless v2), and the digest of the bytes in `artifact`
  root: string | null; // v2: the read-only folder in staging that holds every file of the archive
  files: readonly BundleFile[]; // v2: every file of the archive, the entry included; else none
};
