import ipaddr from 'ipaddr.js';
import { type Exemption, isExempt, parseAddress } from './egress-rules.ts';

export type AddressRule = 'address-invalid' | 'address-metadata' | 'address-not-public' | 'address-own';
export type AddressVerdict = { ok: true } | { ok: false; rule: AddressRule; detail: string };
export type AddressPolicy = {
  exemptions: readonly Exemption[];
  own?: ReadonlySet<string>; // addresses of this machine: behind them stand services that no firewall shields from itself
};

type Address = ipaddr.IPv4 | ipaddr.IPv6;
const refuse = (rule: AddressRule, detail: string): AddressVerdict => ({ ok: false, rule, detail });

/** Where cloud providers hand credentials to whoever asks from inside a machine. No setting opens these. */
const metadata: readonly [Address, number][] = [
  '169.254.0.0/16', // AWS, Google, Azure, Oracle, OpenStack, Scaleway, Tencent and the container variants all sit in link-local
  '168.63.129.16/32', // Azure WireServer
  '100.100.100.200/32', // Alibaba
  '100.96.0.96/32', // Volcengine
  '192.0.0.192/32', // Oracle Classic
  'fe80::/10', // OpenStack; unusable without a zone anyway
  'fd00:ec2::/32', // AWS
  'fd20:ce::254/128', // Google
  'fd00:c1::a9fe:a9fe/128', // Oracle
  'fd00:42::42/128', // Scaleway
  'fd00:a9fe:a9fe::1/128', // Linode
  'fd00:100::100:200/128', // Alibaba
].map((cidr) => ipaddr.parseCIDR(cidr));

const globalUnicast = ipaddr.IPv6.parse('2000::'); // all that IANA has handed out is in 2000::/3; ipaddr.js calls the rest unicast too

const within = (address: Address, network: Address, bits: number): boolean =>
  address.kind() === network.kind() && address.match(network, bits);
const v4 = (high: number, low: number): ipaddr.IPv4 => new ipaddr.IPv4([high >> 8, high & 0xff, low >> 8, low & 0xff]);

/** An IPv6 address that a gateway, a tunnel or the kernel turns into an IPv4 one, by the name of the scheme. */
function findEmbedded(address: Address): { scheme: string; inner: ipaddr.IPv4 } | null {
  if (address instanceof ipaddr.IPv4) return null;
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = address.parts;
  const zero = a === 0 && b === 0 && c === 0 && d === 0;
  if (zero && e === 0 && f === 0xffff) return { scheme: 'ipv4-mapped', inner: v4(g, h) };
  if (zero && e === 0xffff && f === 0) return { scheme: 'ipv4-translated', inner: v4(g, h) };
  if (zero && e === 0 && f === 0 && (g > 0 || h > 1)) return { scheme: 'ipv4-compatible', inner: v4(g, h) };
  if (a === 0x64 && b === 0xff9b) return { scheme: 'nat64', inner: v4(g, h) };
  if (a === 0x2002) return { scheme: '6to4', inner: v4(b, c) };
  if (a === 0x2001 && b === 0) return { scheme: 'teredo', inner: v4(g ^ 0xffff, h ^ 0xffff) }; // Teredo stores the client inverted
  if ((e === 0 || e === 0x200) && f === 0x5efe) return { scheme: 'isatap', inner: v4(g, h) };
  return null;
}

/** What is not plain global unicast, in a word; null when it is. */
function classify(address: Address, scheme: string | undefined): string | null {
  if (scheme !== undefined) return scheme;
  const range: string = address.range();
  if (range !== 'unicast') return range.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return address instanceof ipaddr.IPv4 || within(address, globalUnicast, 3) ? null : 'not-global';
}

const neverOpened: ReadonlySet<string> = new Set(['unspecified', 'multicast', 'broadcast']); // no server is there; 0.0.0.0 is this machine

function decide(address: Address, port: number, policy: AddressPolicy): AddressVerdict {
  const embedded = findEmbedded(address);
  if (embedded !== null) {
    const inner = decide(embedded.inner, port, policy);
    if (!inner.ok || embedded.scheme === 'ipv4-mapped') return inner; // the kernel connects a mapped address by IPv4
  }
  if (metadata.some(([network, bits]) => within(address, network, bits))) return refuse('address-metadata', 'a cloud metadata service');
  const kind = classify(address, embedded?.scheme);
  if (kind !== null && neverOpened.has(kind)) return refuse('address-not-public', kind);
  if (isExempt(address, port, policy.exemptions)) return { ok: true };
  if (kind !== null) return refuse('address-not-public', kind);
  return policy.own?.has(address.toNormalizedString()) ? refuse('address-own', 'an address of this machine') : { ok: true };
}

/** Says whether a connection to this address may be opened. The detail is a word for its kind and never the address. */
export function decideAddress(address: string, port: number, policy: AddressPolicy): AddressVerdict {
  const parsed = parseAddress(address);
  return parsed === null ? refuse('address-invalid', 'not an address') : decide(parsed, port, policy);
}
