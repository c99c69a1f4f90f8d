const removed = '[redacted]';
const secretName =
  /secret|token|passw(?:or)?d|passphrase|api[-_]?key|private[-_]?key|access[-_]?key|credential|authorization|cookie|signature/i;
const shortestSecret = 4; // a shorter text stands everywhere, and hiding it would hide everything

/** What looks like a secret wherever it stands: a scheme of Authorization, tokens of this service, JSON web tokens, private keys. */
const patterns: readonly [RegExp, string][] = [
  [/\b(Bearer|Basic|Digest|Token)\s+[A-Za-z0-9._~+/=-]{6,}/gi, `$1 ${removed}`],
  [/\blat_[A-Za-z0-9_-]{20,}/g, removed],
  [/\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*/g, removed],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?/g, removed],
  [/(:\/\/)[^/\s:@]+:[^/\s@]+@/g, `$1${removed}@`],
  [new RegExp(`([?&;][^=&?;#\\s]*(?:${secretName.source})[^=&?;#\\s]*=)[^&;#\\s]+`, 'gi'), `$1${removed}`],
  [new RegExp(`("[^"]*(?:${secretName.source})[^"]*"\\s*:\\s*")(?:[^"\\\\]|\\\\.)*`, 'gi'), `$1${removed}`], // JSON kept as text
];

/** The texts that a configuration holds under names of secrets, however deep. */
export function listSecrets(config: unknown, named = false): string[] {
  if (typeof config === 'string') return named && config.length >= shortestSecret ? [config] : [];
  if (Array.isArray(config)) return config.flatMap((item) => listSecrets(item, named));
  if (typeof config !== 'object' || config === null) return [];
  return Object.entries(config).flatMap(([name, value]) => listSecrets(value, named || secretName.test(name)));
}

/** As itself, inside JSON that is kept as text, in each part of a URL, in a form, in base64. */
function listSpellings(secret: string): string[] {
  const url = new URL('http://x');
  url.search = secret;
  const [asQuery, asPath] = [url.search.slice(1), encodeURI(secret)];
  const asForm = new URLSearchParams({ x: secret }).toString().slice(2);
  const bytes = Buffer.from(secret);
  const spellings = [JSON.stringify(secret).slice(1, -1), asQuery, asPath, asForm, encodeURIComponent(secret), bytes.toString('base64')];
  return [secret, ...spellings].filter((text) => text.length >= shortestSecret);
}

export type Redact = (value: unknown) => unknown;

/** Takes secrets out of what is shown or written down: by name, by form, and the given texts wherever they stand. */
export function createRedactor(secrets: readonly string[]): Redact {
  const longestFirst = [...new Set(secrets.flatMap(listSpellings))].sort((a, b) => b.length - a.length);

  function redactText(text: string): string {
    let clean = text;
    for (const secret of longestFirst) clean = clean.replaceAll(secret, removed);
    for (const [pattern, by] of patterns) clean = clean.replace(pattern, by);
    return clean;
  }

  function redact(value: unknown, named: boolean): unknown {
    if (typeof value === 'string') return named ? removed : redactText(value);
    if (Array.isArray(value)) return value.map((item) => redact(item, named));
    if (typeof value === 'object' && value !== null)
      return Object.fromEntries(
        Object.entries(value).map(([name, item]) => [redactText(name), redact(item, named || secretName.test(name))]),
      );
    return named && value !== null && value !== undefined && typeof value !== 'boolean' ? removed : value;
  }

  return (value) => redact(value, false);
}

export const isRedacted = (text: string): boolean => text.includes(removed);
export const redactedMark = removed;
