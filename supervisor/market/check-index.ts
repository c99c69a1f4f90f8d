import { channels, type IndexFault, indexLimits, indexSchema, indexStatuses, listedCapabilities } from './plugin-index.ts';

type Fields = Record<string, unknown>;
type Report = (rule: string, pointer: string, detail: string) => void;

const idForm = /^[a-z0-9][a-z0-9.-]{1,78}[a-z0-9]$/; // the public form has _ as well, and its server refuses it
const versionForm = /^[A-Za-z0-9][A-Za-z0-9._+:-]{0,63}$/;
const sha256Form = /^[0-9a-f]{64}$/;
const alphaForm = /-alpha(?:[.-]|$)/i;

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown): value is string => typeof value === 'string' && value.trim() !== '';
const isVersion = (value: unknown): value is string => typeof value === 'string' && versionForm.test(value);
const isAlpha = (version: string): boolean => alphaForm.test(version);
const isOneOf = (words: readonly string[], value: unknown): boolean => typeof value === 'string' && words.includes(value);

/** Bytes in canonical, padded base64. */
const isBase64Of = (bytes: number, value: unknown): boolean => {
  if (typeof value !== 'string') return false;
  const decoded = Buffer.from(value, 'base64');
  return decoded.length === bytes && decoded.toString('base64') === value;
};

function isPlainHttps(value: unknown): boolean {
  const url = typeof value === 'string' ? URL.parse(value) : null;
  return url?.protocol === 'https:' && url.username === '' && url.password === '' && url.search === '' && url.hash === '';
}

/** Every fault in the shape of an index, as the public structural rules have it; what is stricter here has a rule of its own. */
export function checkIndex(value: unknown): IndexFault[] {
  const faults: IndexFault[] = [];
  const report: Report = (rule, pointer, detail) => {
    if (faults.length < indexLimits.faultsListed) faults.push({ rule, pointer, detail });
  };
  if (!isFields(value)) {
    report('not-an-object', '', 'an index is an object');
    return faults;
  }
  checkHead(value, report);
  const publishers = checkPublishers(value.publishers, report);
  checkPlugins(value.plugins, publishers, report);
  checkSignatures(value.signatures, publishers, report);
  return faults;
}

function checkHead(index: Fields, report: Report): void {
  if (index.schema !== indexSchema) report('schema', '/schema', `must be "${indexSchema}"`);
  if (typeof index.generated_at !== 'string' || !index.generated_at.endsWith('Z'))
    report('generated-at', '/generated_at', 'must be a time in UTC, ending with Z');
  if (!isOneOf(indexStatuses, index.status)) report('status', '/status', `must be one of ${indexStatuses.join(', ')}`);
  if (index.status === 'official' && Array.isArray(index.signatures) && index.signatures.length === 0)
    report('official-unsigned', '/signatures', 'an official index has at least one signature');
  if (index.version !== undefined && !(Number.isSafeInteger(index.version) && Number(index.version) >= 0))
    report('index-version', '/version', 'must be a whole number when it is there');
  if (index.expires_at !== undefined && !(typeof index.expires_at === 'string' && index.expires_at.endsWith('Z')))
    report('expires-at', '/expires_at', 'must be a time in UTC, ending with Z, when it is there');
}

/** The rows of a list with their pointers; a row that is no object is reported and looked at as an empty one. */
function rowsOf(value: unknown, pointer: string, report: Report): [Fields, string][] {
  if (!Array.isArray(value)) {
    report('not-a-list', pointer, 'must be a list');
    return [];
  }
  return value.map((row: unknown, at) => {
    if (!isFields(row)) report('not-an-object', `${pointer}/${at}`, 'must be an object');
    return [isFields(row) ? row : {}, `${pointer}/${at}`];
  });
}

function checkId(value: unknown, pointer: string, report: Report): void {
  if (typeof value === 'string' && idForm.test(value)) return;
  const underscore = typeof value === 'string' && value.includes('_') && idForm.test(value.replaceAll('_', '-'));
  report(
    underscore ? 'id-underscore' : 'id',
    `${pointer}/id`,
    'an id is 3 to 80 of a-z 0-9 . -, beginning and ending with a letter or digit',
  );
}

function checkPublishers(value: unknown, report: Report): Set<unknown> {
  const known = new Set<unknown>();
  for (const [publisher, at] of rowsOf(value, '/publishers', report)) {
    checkId(publisher.id, at, report);
    if (!isText(publisher.name)) report('name', `${at}/name`, 'is required');
    if (!isBase64Of(32, publisher.public_key_ed25519)) report('key', `${at}/public_key_ed25519`, 'must be 32 bytes in padded base64');
    if (typeof publisher.id === 'string') known.add(publisher.id);
  }
  return known;
}

function checkSignatures(value: unknown, publishers: ReadonlySet<unknown>, report: Report): void {
  const rows = rowsOf(value, '/signatures', report);
  if (rows.length > indexLimits.signatures)
    // each is checked with each pinned key
    return report('too-many-signatures', '/signatures', `at most ${indexLimits.signatures} signatures`);
  for (const [signature, at] of rows) {
    if (!publishers.has(signature.publisher)) report('unknown-publisher', `${at}/publisher`, 'is not one of the publishers of the index');
    if (!isBase64Of(64, signature.signature_ed25519)) report('signature', `${at}/signature_ed25519`, 'must be 64 bytes in padded base64');
  }
}

function checkPlugins(value: unknown, publishers: ReadonlySet<unknown>, report: Report): void {
  const ids = new Set<unknown>();
  for (const [plugin, at] of rowsOf(value, '/plugins', report)) {
    checkId(plugin.id, at, report);
    if (ids.has(plugin.id)) report('duplicate-plugin', `${at}/id`, 'stands in the index before');
    ids.add(plugin.id);
    if (!isText(plugin.name)) report('name', `${at}/name`, 'is required');
    if (!publishers.has(plugin.publisher)) report('unknown-publisher', `${at}/publisher`, 'is not one of the publishers of the index');
    if (!isOneOf(['system', 'worker', 'wasm'], plugin.type)) report('type', `${at}/type`, 'must be system, worker or wasm');
    checkCapabilities(plugin.capabilities, `${at}/capabilities`, report);
    const offered = checkChannels(plugin, at, report);
    checkReleases(plugin.releases, offered, at, report);
  }
}

function checkCapabilities(value: unknown, pointer: string, report: Report): void {
  if (!Array.isArray(value) || value.length === 0) return report('capabilities', pointer, 'at least one capability is required');
  const seen = new Set<unknown>();
  value.forEach((capability: unknown, at) => {
    const foreign = typeof capability === 'string' && capability.startsWith('wireguard:') ? 'capability-unsupported' : 'capability-unknown';
    if (typeof capability !== 'string' || !listedCapabilities.has(capability))
      report(foreign, `${pointer}/${at}`, 'is not a capability that a server grants');
    if (seen.has(capability)) report('duplicate-capability', `${pointer}/${at}`, 'stands twice');
    seen.add(capability);
  });
}

/** The version that each channel selects. */
function checkChannels(plugin: Fields, at: string, report: Report): Map<string, unknown> {
  const named = isFields(plugin.channels) ? plugin.channels : {};
  const offered = new Map(Object.entries(named));
  if (offered.size === 0) report('channels', `${at}/channels`, 'at least one channel is required');
  for (const [channel, version] of offered) {
    const pointer = `${at}/channels/${channel.slice(0, 64)}`;
    if (!isOneOf(channels, channel)) report('channel', pointer, `a channel is ${channels.join(' or ')}`);
    if (!isVersion(version)) report('version', pointer, 'is not a version');
    else if (isAlpha(version) !== (channel === 'alpha'))
      report('channel-version', pointer, 'alpha selects alpha prereleases, stable none of them');
  }
  if (plugin.latest !== undefined && (!isVersion(plugin.latest) || plugin.latest !== offered.get('stable')))
    report('latest', `${at}/latest`, 'must be the version that the channel stable selects');
  return offered;
}

function checkReleases(value: unknown, offered: ReadonlyMap<string, unknown>, at: string, report: Report): void {
  const rows = rowsOf(value, `${at}/releases`, report);
  if (Array.isArray(value) && rows.length === 0) report('releases', `${at}/releases`, 'at least one release is required');
  const channelOf = new Map<unknown, unknown>();
  for (const [release, pointer] of rows) {
    if (channelOf.has(release.version)) report('duplicate-release', `${pointer}/version`, 'stands among the releases before');
    channelOf.set(release.version, release.channel);
    checkRelease(release, offered.size > 1, pointer, report);
  }
  for (const [channel, version] of offered)
    if (channelOf.get(version) !== channel)
      report('channel-release', `${at}/channels/${channel.slice(0, 64)}`, 'selects no release of this channel');
}

function checkRelease(release: Fields, ownCapabilities: boolean, at: string, report: Report): void {
  if (!isVersion(release.version)) report('version', `${at}/version`, 'is not a version');
  if (!isOneOf(channels, release.channel)) report('channel', `${at}/channel`, `must be ${channels.join(' or ')}`);
  else if (isVersion(release.version) && isAlpha(release.version) !== (release.channel === 'alpha'))
    report('channel-version', `${at}/version`, 'alpha offers alpha prereleases, stable none of them');
  if (release.capabilities !== undefined) checkCapabilities(release.capabilities, `${at}/capabilities`, report);
  else if (ownCapabilities) report('capabilities', `${at}/capabilities`, 'each release names its own where there are several channels');
  for (const name of ['manifest_url', 'artifact_url'])
    if (!isPlainHttps(release[name])) report('url', `${at}/${name}`, 'must be https, without user, query or fragment');
  if (typeof release.artifact_sha256 !== 'string' || !sha256Form.test(release.artifact_sha256))
    report('digest', `${at}/artifact_sha256`, 'must be 64 lower-case hex digits');
  if (!isBase64Of(64, release.signature_ed25519)) report('signature', `${at}/signature_ed25519`, 'must be 64 bytes in padded base64');
  checkAdditions(release, at, report);
}

/** Fields that the public form does not know, and so says nothing of. */
function checkAdditions(release: Fields, at: string, report: Report): void {
  const { manifest_sha256: manifest, artifact_bytes: bytes, revoked } = release;
  if (manifest !== undefined && !(typeof manifest === 'string' && sha256Form.test(manifest)))
    report('digest', `${at}/manifest_sha256`, 'must be 64 lower-case hex digits when it is there');
  if (bytes !== undefined && !(Number.isSafeInteger(bytes) && Number(bytes) > 0))
    report('artifact-bytes', `${at}/artifact_bytes`, 'must be a whole number when it is there');
  if (revoked !== undefined && !isText(revoked)) report('revoked', `${at}/revoked`, 'must be the reason, a text, when it is there');
}
