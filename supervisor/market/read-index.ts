import { parseStrict } from '../../protocol/strict-json.ts';
import { checkIndex } from './check-index.ts';
import { indexPayload } from './index-signatures.ts';
import { type Channel, type IndexFault, indexLimits, type ListedPlugin, type PluginIndex, type Release } from './plugin-index.ts';

export type ReadIndex = { ok: true; index: PluginIndex; payload: Uint8Array } | { ok: false; faults: IndexFault[] };
type Fields = Record<string, unknown>;

const refuse = (rule: string, detail: string): ReadIndex => ({ ok: false, faults: [{ rule, pointer: '', detail }] });

/** Reads the bytes of an index. `payload` is what its signatures cover; whether they do is another question. */
export function readIndex(bytes: Uint8Array): ReadIndex {
  if (bytes.length > indexLimits.indexBytes) return refuse('index-too-large', `an index is at most ${indexLimits.indexBytes} bytes`);
  const parsed = parseStrict(bytes, indexLimits.depth);
  if (!parsed.ok) return refuse(parsed.rule, parsed.detail);
  const faults = checkIndex(parsed.value);
  if (faults.length > 0) return { ok: false, faults };
  const raw = parsed.value as Fields; // checkIndex found an object, with every field that is read below
  return { ok: true, index: toIndex(raw), payload: indexPayload(raw) };
}

function toIndex(raw: Fields): PluginIndex {
  return {
    generatedAt: raw.generated_at as string,
    version: (raw.version as number | undefined) ?? null,
    expiresAt: (raw.expires_at as string | undefined) ?? null,
    status: raw.status as PluginIndex['status'],
    plugins: (raw.plugins as Fields[]).map(toPlugin),
    signatures: (raw.signatures as Record<string, string>[]).map(({ publisher = '', signature_ed25519 = '' }) => ({
      publisher,
      signature: Buffer.from(signature_ed25519, 'base64'),
    })),
  };
}

function toPlugin(raw: Fields): ListedPlugin {
  return {
    id: raw.id as string,
    name: raw.name as string,
    publisher: raw.publisher as string,
    type: raw.type as ListedPlugin['type'],
    summary: typeof raw.summary === 'string' ? raw.summary : '',
    channels: raw.channels as ListedPlugin['channels'],
    releases: (raw.releases as Fields[]).map((release) => toRelease(release, raw.capabilities as string[])),
  };
}

const toRelease = (raw: Fields, defaults: readonly string[]): Release => ({
  version: raw.version as string,
  channel: raw.channel as Channel,
  manifest_url: raw.manifest_url as string,
  artifact_url: raw.artifact_url as string,
  artifact_sha256: raw.artifact_sha256 as string,
  signature_ed25519: raw.signature_ed25519 as string,
  capabilities: (raw.capabilities as string[] | undefined) ?? defaults,
  manifest_sha256: (raw.manifest_sha256 as string | undefined) ?? null,
  artifact_bytes: (raw.artifact_bytes as number | undefined) ?? null,
  revoked: (raw.revoked as string | undefined) ?? null,
});
