import { createInterface } from 'node:readline/promises';
import { type Capability, capabilities, isCapability, type Risk, risks } from '../../protocol/capabilities.ts';
import { HostError } from '../../protocol/errors.ts';
import type { PluginDetail, UpgradeView, VerificationView } from '../plugin-view.ts';
import type { Cli, Colour } from './cli.ts';
import { signerOf } from './signer.ts';
import { looksLikeAnother, visible } from './visible.ts';

export type Paint = (colour: Colour, text: string) => string;
const plain: Paint = (_colour, text) => text;
const headings: Readonly<Record<Risk, string>> = {
  host: 'act beyond itself, on this host or the network (risk: host)',
  write: 'write (risk: write)',
  read: 'read (risk: read)',
};
const colourOfRisk: Readonly<Record<Risk, Colour>> = { host: 'red', write: 'yellow', read: 'green' };
const colourOfLevel = { high: 'red', medium: 'yellow', low: 'green' } as const;

type Reach = Pick<PluginDetail, 'egress' | 'read_buckets'>;

function describeCapability(name: Capability, reach: Reach): string {
  const limits = name === 'http:egress' ? reach.egress : name === 'kv:read' ? reach.read_buckets : [];
  const named = name === 'http:egress' || limits.length > 0 ? `: ${limits.map(visible).join(', ') || 'none'}` : '';
  return `    - ${capabilities[name].sentence}${named}  [${name}]`;
}

/** What these capabilities let a plugin do, in the operator's words, the gravest first. */
export function describeCapabilities(names: readonly string[], reach: Reach, paint: Paint = plain): string[] {
  if (names.length === 0) return ['  It can only compute and answer calls.'];
  const known = names.filter(isCapability);
  const foreign = names.filter((name) => !isCapability(name)); // of a service that is newer than this command
  return [
    ...(foreign.length > 0 ? [`  It may ${paint('red', 'do what this command does not know')}: ${foreign.map(visible).join(', ')}`] : []),
    ...risks.toReversed().flatMap((risk) => {
      const own = known.filter((name) => capabilities[name].risk === risk);
      const heading = `  It may ${paint(colourOfRisk[risk], headings[risk])}:`;
      return own.length === 0 ? [] : [heading, ...own.map((name) => describeCapability(name, reach))];
    }),
  ];
}

const warnOfName = (name: string, paint: Paint): string[] =>
  looksLikeAnother(name) ? [`  ${paint('red', 'Its name has letters that look like others')}: go by its id and its publisher.`] : [];

/** Which key vouches for a bundle, and each check that it went through; `brief`: in one line where there is nothing to say. */
export function describeVerification(verification: VerificationView, paint: Paint, brief = false): string[] {
  const { key, key_not_after, checks, fault, trusted } = verification;
  const marks = { passed: paint('green', 'passed'), failed: paint('red', 'FAILED'), 'not-checked': 'not checked' };
  return [
    key === null
      ? `  ${paint('red', 'No key vouches for it.')}`
      : `  Signed with the key ${visible(key)}${key_not_after ? `, valid until ${visible(key_not_after)}` : ''}`,
    ...(brief && trusted
      ? [`    all ${checks.length} checks ${marks.passed}`]
      : checks.map(({ says, result }) => `    ${marks[result]}: ${visible(says)}`)),
    ...(fault ? [`  ${paint('red', `Not trusted: ${visible(fault.code)}`)}: ${visible(fault.detail)}`] : []),
  ];
}

/** Which manifest it has, and how it talks. */
export const describeForm = ({ form, wire }: Pick<PluginDetail, 'form' | 'wire'>): string => `manifest ${form} over ${visible(wire)}`;

/** What an operator consents to with an installation. */
export const describeInstall = (plugin: PluginDetail, paint: Paint): string =>
  [
    `${paint('bold', visible(plugin.name))} (${plugin.id}) ${visible(plugin.version)}, a ${plugin.type} plugin ${plugin.unsigned ? paint('red', 'that nobody signed') : `signed by ${signerOf(plugin)}`}`,
    ...warnOfName(plugin.name, paint),
    ...(plugin.form === 'v3' ? [] : [`  Of the public server’s form: ${describeForm(plugin)}`]),
    ...describeVerification(plugin.verification, paint),
    ...describeCapabilities(plugin.capabilities, plugin, paint),
    ...plugin.routes.map(({ path, methods }) => `    - it answers ${methods.join(', ')} ${visible(path)}`),
    `  bundle ${plugin.bundle_sha256}`,
  ].join('\n');

const changeWords = {
  upgrade: 'a newer version',
  downgrade: 'an OLDER version',
  'same-version': 'the same version with OTHER bytes',
  unordered: 'another version',
} as const;

/** What an operator consents to with an upgrade or a rollback: what changes. */
export function describeExchange(plugin: PluginDetail, upgrade: UpgradeView, verification: VerificationView | null, paint: Paint): string {
  const { differences, risk } = upgrade;
  const { capabilities: held, egress, read_buckets } = differences;
  const newHosts = upgrade.capabilities_added.includes('http:egress') ? [] : egress.added; // named with the capability
  const newBuckets = upgrade.capabilities_added.includes('kv:read') ? [] : read_buckets.added;
  const fresh = [
    ...(held.added.length > 0 ? describeCapabilities(held.added, upgrade, paint) : []),
    ...newHosts.map((host) => `    - make web requests to ${paint('red', visible(host))}  [http:egress]`),
    ...newBuckets.map((bucket) => `    - read the operator bucket ${visible(bucket)}  [kv:read]`),
  ];
  return [
    `${paint('bold', visible(plugin.name))} (${plugin.id}) by ${signerOf(upgrade)}: ${visible(plugin.version)} -> ${visible(upgrade.version)}, ${changeWords[upgrade.change]}`,
    ...warnOfName(differences.identity.find(({ field }) => field === 'name')?.to ?? plugin.name, paint),
    ...(verification ? describeVerification(verification, paint) : []),
    `  Risk of this change: ${paint(colourOfLevel[risk.level], risk.level)}`,
    ...risk.reasons.map((reason) => `    - ${visible(reason)}`),
    ...(fresh.length > 0 ? [`  ${paint('bold', 'New with it:')}`, ...fresh] : ['  It gets nothing new: no capability, host or bucket.']),
    ...describeKept(upgrade),
    ...describeRemoved(upgrade),
    ...describeOther(upgrade),
    '  Both versions share what the plugin has stored: going back later does not undo what this one writes.',
    `  bundle ${upgrade.bundle_sha256}`,
  ].join('\n');
}

/** Other bytes with the same reach are worth a line of their own: nothing else would say that they have it. */
function describeKept({ egress, egress_set_by, differences }: UpgradeView): string[] {
  const kept = egress.filter((host) => !differences.egress.added.includes(host));
  const whose = egress_set_by === 'operator' ? 'that you set' : 'of the present version';
  return kept.length > 0 ? [`  It keeps the hosts ${whose}: ${kept.map(visible).join(', ')}`] : [];
}

function describeRemoved({ differences: { capabilities: held, egress, read_buckets } }: UpgradeView): string[] {
  const gone = [...held.removed, ...egress.removed, ...read_buckets.removed.map((name) => `bucket ${name}`)];
  return gone.length > 0 ? [`  No longer asked for: ${gone.map(visible).join(', ')}`] : [];
}

function describeOther({ differences: { routes, services, resources, identity } }: UpgradeView): string[] {
  const changes = [
    ...identity.map(({ field, from, to }) => `${field}: ${from} -> ${to}`),
    ...routes.added.map((route) => `route added: ${route}`),
    ...routes.removed.map((route) => `route removed: ${route}`),
    ...services.added.map((method) => `method added: ${method}`),
    ...services.removed.map((method) => `method removed: ${method}`),
    ...services.changed.flatMap(({ method, changes }) => changes.map(({ field, from, to }) => `${method}, ${field}: ${from} -> ${to}`)),
    ...resources.map(({ name, from, to }) => `${name}: ${from} -> ${to}`),
  ];
  return changes.length > 0 ? ['  Also changed:', ...changes.map((change) => `    - ${cut(visible(change))}`)] : [];
}

const cut = (text: string): string => (text.length > 400 ? `${text.slice(0, 400)}…` : text);

/** Shows what it is about, and asks unless that was answered with --yes. Anything but yes is no, and so is a lack of anybody to ask. */
export async function askConsent(cli: Cli, text: string, question: string, yes: boolean): Promise<void> {
  await cli.note(text);
  if (yes) return;
  if (!cli.io.stdin.isTTY || !cli.io.stderr.isTTY)
    throw new HostError('invalid-params', 'this needs consent, and there is no terminal to ask on: nothing was changed', {
      hint: 'what you would consent to is shown above; say the same with --yes to accept it',
    });
  const prompt = createInterface({ input: cli.io.stdin, output: cli.io.stderr });
  const closed = new Promise<string>((resolve) => prompt.once('close', () => resolve('')));
  const answer = await Promise.race([prompt.question(`${question} [y/N] `), closed]);
  prompt.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new HostError('cancelled', 'not consented to, nothing was changed');
}
