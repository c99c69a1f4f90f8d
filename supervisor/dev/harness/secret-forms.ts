export const removed = '[redacted]';

const secretWords = [
  'secret',
  'token',
  'passw(?:or)?d',
  'passphrase',
  '(?:api|private|access|auth|encryption|signing|client|master|ssh)[-_]?key',
  'credential',
  'authorization',
  'cookie',
  'signature',
  'session[-_]?id',
  'jwt',
  'bearer',
  '(?<![a-z])(?:pwd|pass|auth|otp|dsn)(?![a-z])',
].join('|');
const secretName = new RegExp(secretWords, 'i');

/** Whether what stands under this name is nobody else's business. */
export const isSecretName = (name: string): boolean => secretName.test(name);

/** What looks like a secret wherever it stands: schemes of Authorization, keys of well-known services, tokens, private keys, URLs that let in. */
export const secretForms: readonly [RegExp, string][] = [
  [/\b(Bearer|Basic|Digest|Token)\s+[A-Za-z0-9._~+/=-]{6,}/gi, `$1 ${removed}`],
  [/\blat_[A-Za-z0-9_-]{20,}/g, removed],
  [/\b(?:gh[pousr]_|github_pat_|glpat-|npm_|pypi-|xox[a-z]-|[sr]k[-_](?:live|test|proj|ant)[-_]|sk-)[A-Za-z0-9_-]{12,}/g, removed],
  [/\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/g, removed],
  [/\bAIza[0-9A-Za-z_-]{30,}/g, removed],
  [/\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*/g, removed],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?/g, removed],
  [/^(?![0-9a-f]{64}$)[A-Za-z0-9+/]{64}$/g, removed], // a line of a key file, where lines come one by one
  [/(:\/\/)[^/\s?#"'<>\\]+@/g, `$1${removed}@`],
  [/(\/\/hooks\.slack\.com\/(?:services|workflows)\/)[^\s"'<>\\]+/g, `$1${removed}`],
  [new RegExp(`([?&;][^=&?;#\\s]{0,64}(?:${secretWords})[^=&?;#\\s]{0,64}=)[^&;#\\s"'\\\\]+`, 'gi'), `$1${removed}`],
  [
    new RegExp(`(\\\\*"[^"]{0,64}(?:${secretWords})[^"]{0,64}?\\\\*"\\s*:\\s*)(\\\\*")(?:[^"\\\\]|\\\\.)*?(?=\\2|$)`, 'gi'),
    `$1$2${removed}`,
  ], // JSON kept as text, also within such a text
];
