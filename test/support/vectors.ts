import { readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

const folder = new URL('../vectors/', import.meta.url);
const lines = <Row>(name: string): Row[] =>
  gunzipSync(readFileSync(new URL(`${name}.jsonl.gz`, folder)))
    .toString('utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Row); // our own data

export type ManifestCase = {
  name: string;
  manifest: string;
  artifact_b64: string;
  policy: string;
  expect: { ok: boolean; error?: string; payload_sha256?: string; payload_len?: number };
};
export type BundleCase = {
  name: string;
  manifest: string;
  artifact_b64: string;
  policy: string;
  platform: string;
  limits?: Record<string, number>;
  expect: { ok: boolean; error?: string; inventory?: Record<string, { size: number; sha256: string; mode: number }> };
};
export type VersionCase =
  | { version: string; range: string; expect: { ok: boolean; valid: boolean } }
  | { a: string; b: string; expect: { cmp: number } };
export type RealManifest = { name: string; manifest: string; sig_ok: boolean; validate_ok: boolean; payload_sha256: string | null };

export const manifestCases = (): ManifestCase[] => lines('manifest-cases');
export const bundleCases = (): BundleCase[] => lines('bundle-cases');
export const versionCases = (): VersionCase[] => lines('version-cases');
export const realManifests = (): RealManifest[] =>
  readdirSync(new URL('real/', folder))
    .sort()
    .map((name) => JSON.parse(readFileSync(new URL(`real/${name}`, folder), 'utf8')) as RealManifest);
