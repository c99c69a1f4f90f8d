/** Why a connection or an exchange over it failed, in a word that may be shown, and what to do about it. */
export type ConnectionCause = { rule: string; hint: string };

const table: readonly [RegExp, string, string][] = [
  [
    /^(CERT_|ERR_TLS|ERR_SSL|ERR_OSSL|ETLS|EPROTO$|DEPTH_ZERO|UNABLE_TO|SELF_SIGNED|HOSTNAME_MISMATCH)/,
    'tls',
    'check the certificate of the server: its name, its end date, its issuer',
  ],
  [/^ECONNREFUSED$/, 'refused', 'nothing listens on this port'],
  [/^(EHOSTUNREACH|ENETUNREACH|ENETDOWN|EADDRNOTAVAIL|EACCES|EPERM)$/, 'unreachable', 'the network has no way to this host'],
  [/^(ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT)$/, 'timeout', 'the host did not answer'],
  [/^(ECONNRESET|EPIPE|ECONNECTION|UND_ERR_SOCKET)$/, 'reset', 'the server closed the connection early'],
  [/^(HTTPParserError|HPE_|UND_ERR_RES_CONTENT_LENGTH|EPROTOCOL)/, 'bad-answer', 'the server does not speak this protocol here'],
  [/^(ENOTFOUND|EAI_|EDNS)/, 'dns', 'check the name, and the name servers of the host'],
];

/** The names of an error, most telling first. nodemailer puts its own code over the system's, which it keeps beside it. */
export function nameError(thrown: unknown): string[] {
  if (!(thrown instanceof Error)) return [];
  const { code, originalCode } = thrown as { code?: unknown; originalCode?: unknown }; // any error may carry them
  return [originalCode, code, thrown.name].filter((name) => typeof name === 'string');
}

/** An error's text may quote addresses or an answer; only this word for it goes any further. */
export function classifyFailure(thrown: unknown): ConnectionCause {
  for (const name of nameError(thrown)) {
    const row = table.find(([form]) => form.test(name));
    if (row) return { rule: row[1], hint: row[2] };
  }
  return { rule: 'failed', hint: 'try again later' };
}
