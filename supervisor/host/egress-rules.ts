import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { idPattern } from '../../protocol/manifest.ts';

/** One entry of a manifest's `egress`: an exact name, every name below one (`*.`), or an address. */
export type EgressRule = { kind: 'name' | 'below' | 'address'; host: string; port: number };

/** Addresses that an operator opens although they are not public; `port` null: every port. */
export type Exemption = { network: ipaddr.IPv4 | ipaddr.IPv6; bits: number; port: number | null };
export type EgressAllow = ReadonlyMap<string, readonly Exemption[]>;

const label = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/;
const portForm = /^[1-9][0-9]{0,4}$/;

/** A lower-case name of A-labels without a trailing dot, which no URL parser could take for an address. */
export function isPlainName(host: string): boolean {
  const labels = host.split('.');
  return host.length <= 253 && labels.every((part) => label.test(part)) && !/^(?:[0-9]+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? '');
}

/**
 * Parses what Node calls an address. ipaddr.js alone would read octal and short forms that the system does not, and would take
 * `::8.8.8.8` for a mapped address, which it is not: so the dotted tail goes in as hexadecimal.
 */
export function parseAddress(text: string): ipaddr.IPv4 | ipaddr.IPv6 | null {
  if (isIPv4(text)) return ipaddr.IPv4.parse(text);
  if (!isIPv6(text) || text.includes('%')) return null;
  const hex = (high: string, low: string) => (Number(high) * 256 + Number(low)).toString(16);
  return ipaddr.IPv6.parse(text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_all, a, b, c, d) => `${hex(a, b)}:${hex(c, d)}`));
}

/** The one spelling of an address that rules and URLs are compared in; null when it is none. Takes IPv6 with or without brackets. */
export function canonicalAddress(host: string): string | null {
  const bracketed = host.startsWith('[') && host.endsWith(']');
  const address = parseAddress(bracketed ? host.slice(1, -1) : host);
  return address === null || (bracketed && address.kind() === 'ipv4') ? null : address.toNormalizedString();
}

function parsePort(text: string): number | null {
  return portForm.test(text) && Number(text) <= 65_535 ? Number(text) : null;
}

/** Reads one `egress` entry; null when it is malformed, so that a bad entry opens nothing. */
export function parseEgressEntry(text: string): EgressRule | null {
  const colon = text.lastIndexOf(':');
  const host = text.slice(0, Math.max(colon, 0));
  const port = parsePort(text.slice(colon + 1));
  if (port === null || text !== text.toLowerCase()) return null;
  const address = isIPv6(host) ? null : canonicalAddress(host); // IPv6 stands in brackets, or its last group would be the port
  if (address !== null) return { kind: 'address', host: address, port };
  const below = host.startsWith('*.');
  const name = below ? host.slice(2) : host;
  return name.includes('.') && isPlainName(name) ? { kind: below ? 'below' : 'name', host: name, port } : null;
}

/** Says whether the list names this host and port. The host is as a URL gives it: lower case, A-labels, IPv6 in brackets. */
export function isListed(egress: readonly string[], host: string, port: number): boolean {
  const address = canonicalAddress(host);
  if (address === null && !isPlainName(host)) return false;
  return egress.some((entry) => {
    const rule = parseEgressEntry(entry);
    if (rule === null || rule.port !== port) return false;
    if (rule.kind === 'address' || address !== null) return rule.kind === 'address' && rule.host === address;
    return rule.kind === 'name' ? rule.host === host : host.endsWith(`.${rule.host}`) && host.length > rule.host.length + 1;
  });
}

/** The manifest line that would list the host, or null when no line could. */
export function egressLine(host: string, port: number): string | null {
  return parseEgressEntry(`${host}:${port}`) === null ? null : JSON.stringify(`${host}:${port}`);
}

/** Reads `<cidr>[:port]`; IPv6 stands in brackets when a port follows. A text is what is wrong with it. */
export function parseExemption(text: string): Exemption | string {
  const parts = /^\[([^\]]*)\](?::(.*))?$/s.exec(text) ?? (isLoneIPv6(text) ? [text, text] : /^([^:]*)(?::(.*))?$/s.exec(text));
  if (parts === null) return 'not a network; with a port, write 10.0.0.0/8:443 or [fd00::/8]:443';
  const [, cidr = '', portText] = parts;
  const port = portText === undefined ? null : parsePort(portText);
  if (portText !== undefined && port === null) return 'the port is not a number from 1 to 65535';
  const slash = cidr.indexOf('/');
  const address = slash === -1 ? cidr : cidr.slice(0, slash);
  const network = parseAddress(address);
  if (network === null) return 'not an IPv4 or IPv6 network';
  const size = network.kind() === 'ipv4' ? 32 : 128;
  const bitsText = slash === -1 ? String(size) : cidr.slice(slash + 1);
  const bits = /^(?:0|[1-9][0-9]{0,2})$/.test(bitsText) ? Number(bitsText) : size + 1;
  if (bits > size) return `the prefix length is not a number from 0 to ${size}`;
  if (network instanceof ipaddr.IPv6 && network.isIPv4MappedAddress()) return 'write an IPv4 network in its IPv4 form';
  const start = startOf(network, bits);
  if (start !== network.toNormalizedString()) return `it has bits beyond its prefix; the network is ${start}/${bits}`;
  return { network, bits, port };
}

function startOf(network: ipaddr.IPv4 | ipaddr.IPv6, bits: number): string {
  const bytes = network.toByteArray().map((byte, at) => byte & (0xff << Math.max(0, Math.min(8, 8 * (at + 1) - bits))));
  return ipaddr.fromByteArray(bytes).toNormalizedString();
}

const isLoneIPv6 = (text: string): boolean => isIPv6(text.split('/')[0] ?? '');

export function isExempt(address: ipaddr.IPv4 | ipaddr.IPv6, port: number, exemptions: readonly Exemption[]): boolean {
  return exemptions.some(
    (exemption) =>
      exemption.network.kind() === address.kind() &&
      (exemption.port === null || exemption.port === port) &&
      address.match(exemption.network, exemption.bits),
  );
}

/** Reads `LATTICE_EGRESS_ALLOW`. Every fault is named with its entry; with a fault, nothing of the list should be used. */
export function parseEgressAllow(text: string): { allow: EgressAllow; faults: string[] } {
  const allow = new Map<string, Exemption[]>();
  const faults: string[] = [];
  const entries = text.split(',').map((entry) => entry.trim());
  for (const entry of entries.filter((each) => each !== '')) {
    const equals = entry.indexOf('=');
    const id = entry.slice(0, Math.max(equals, 0));
    const parsed = idPattern.test(id) ? parseExemption(entry.slice(equals + 1)) : 'it must begin with <plugin id>=';
    if (typeof parsed === 'string') faults.push(`"${entry.slice(0, 120).replace(/[^\x20-\x7e]/g, '?')}": ${parsed}`);
    else allow.set(id, [...(allow.get(id) ?? []), parsed]);
  }
  return { allow, faults };
}
