/** Where a connection came from. `source` is what is remembered of it: an IPv4 address, or the /64 of an IPv6 one. */
export type Origin = { address: string; source: string; port: number | null };

/** The line has more than one reading, because somebody wrote an address into a name: none of them is believed. */
export const uncertain: Origin = { address: 'uncertain', source: 'uncertain', port: null };

/** sshd writes UNKNOWN when it cannot ask the socket for its peer. */
const unknown = { address: 'unknown', source: 'unknown' };

export function parseOrigin(address: string, port: string | undefined): Origin | null {
  const parsed = address === 'UNKNOWN' ? unknown : parseAddress(address);
  const number = port === undefined ? null : Number(port);
  return parsed === null || (number !== null && number > 65535) ? null : { ...parsed, port: number };
}

/** Reads a numeric address in any common form and writes it in one, so that the same machine is the same source. */
export function parseAddress(text: string): { address: string; source: string } | null {
  const v4 = parseV4(text);
  if (v4 !== null) return { address: v4, source: v4 };
  const [, digits = '', zone = ''] = /^([0-9A-Fa-f:.]{2,45})(%[0-9A-Za-z_.:-]{1,32})?$/.exec(text) ?? [];
  const groups = parseV6(digits);
  if (groups === null) return null;
  const [a = 0, b = 0] = groups.slice(6);
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    const mapped = [a >> 8, a & 255, b >> 8, b & 255].join('.');
    return { address: mapped, source: mapped };
  }
  return { address: writeV6(groups) + zone, source: `${writeV6([...groups.slice(0, 4), 0, 0, 0, 0])}/64${zone}` };
}

function parseV4(text: string): string | null {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return null;
  const bytes = match.slice(1).map(Number);
  return bytes.every((byte) => byte <= 255) ? bytes.join('.') : null;
}

function parseV6(text: string): number[] | null {
  const tail = /^(.*:)(\d{1,3}(?:\.\d{1,3}){3})$/.exec(text);
  if (tail !== null) {
    const bytes = parseV4(tail[2] ?? '')
      ?.split('.')
      .map(Number);
    if (bytes === undefined) return null;
    const [a = 0, b = 0, c = 0, d = 0] = bytes;
    return parseV6(`${tail[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`);
  }
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const [head, rest] = halves.map((half) => (half === '' ? [] : half.split(':')));
  if (head === undefined || ![...head, ...(rest ?? [])].every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group))) return null;
  const missing = 8 - head.length - (rest?.length ?? 0);
  if (rest === undefined ? missing !== 0 : missing < 1) return null;
  return [...head, ...Array<string>(missing).fill('0'), ...(rest ?? [])].map((group) => Number.parseInt(group, 16));
}

/** The RFC 5952 form: lower case, no leading zeros, the longest run of two or more zero groups as `::`. */
function writeV6(groups: readonly number[]): string {
  let best = { at: 0, length: 1 };
  for (let at = 0; at < groups.length; at++) {
    let length = 0;
    while (groups[at + length] === 0) length++;
    if (length > best.length) best = { at, length };
  }
  const hex = groups.map((group) => group.toString(16));
  return best.length < 2 ? hex.join(':') : `${hex.slice(0, best.at).join(':')}::${hex.slice(best.at + best.length).join(':')}`;
}
