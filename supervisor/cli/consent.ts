import { createInterface } from 'node:readline/promises';
import { type Capability, capabilities, isCapability, type Risk, risks } from '../../protocol/capabilities.ts';
import { HostError } from '../../protocol/errors.ts';
import type { PluginDetail } from '../plugin-view.ts';
import type { Cli } from './cli.ts';
import { signerOf } from './signer.ts';
import { visible } from './visible.ts';

const headings: Readonly<Record<Risk, string>> = {
  host: 'act beyond itself, on this host or the network (risk: host)',
  write: 'write (risk: write)',
  read: 'read (risk: read)',
};

type Reach = Pick<PluginDetail, 'egress' | 'read_buckets'>;

function describeCapability(name: Capability, reach: Reach): string {
  const limits = name === 'http:egress' ? reach.egress : name === 'kv:read' ? reach.read_buckets : [];
  const named = name === 'http:egress' || limits.length > 0 ? `: ${limits.map(visible).join(', ') || 'none'}` : '';
  return `    - ${capabilities[name].sentence}${named}  [${name}]`;
}

/** What these capabilities let a plugin do, in the operator's words, the gravest first. */
export function describeCapabilities(names: readonly string[], reach: Reach): string[] {
  const known = names.filter(isCapability);
  if (known.length === 0) return ['  It can only compute and answer calls.'];
  return risks.toReversed().flatMap((risk) => {
    const own = known.filter((name) => capabilities[name].risk === risk);
    return own.length === 0 ? [] : [`  It may ${headings[risk]}:`, ...own.map((name) => describeCapability(name, reach))];
  });
}

/** What an operator consents to with an installation. */
export const describeInstall = (plugin: PluginDetail): string =>
  [
    `${visible(plugin.name)} (${plugin.id}) ${visible(plugin.version)}, a ${plugin.type} plugin ${plugin.unsigned ? 'that nobody signed' : `signed by ${signerOf(plugin)}`}`,
    ...describeCapabilities(plugin.capabilities, plugin),
    `  bundle ${plugin.bundle_sha256}`,
  ].join('\n');

/** What an operator consents to with an upgrade: what changes. */
export function describeUpgrade(plugin: PluginDetail, upgrade: NonNullable<PluginDetail['upgrade']>): string {
  const lines = [
    `${visible(plugin.name)} (${plugin.id}) by ${signerOf(plugin)}: ${visible(plugin.version)} -> ${visible(upgrade.version)}`,
  ];
  if (upgrade.downgrade) lines.push('  This is a downgrade: faults that the present version mended may come back.');
  if (upgrade.capabilities_added.length > 0) lines.push('  New with it:', ...describeCapabilities(upgrade.capabilities_added, plugin));
  if (upgrade.capabilities_removed.length > 0) lines.push(`  No longer asked for: ${upgrade.capabilities_removed.join(', ')}`);
  if (upgrade.capabilities_added.length + upgrade.capabilities_removed.length === 0) lines.push('  Its capabilities stay the same.');
  return [...lines, `  bundle ${upgrade.bundle_sha256}`].join('\n');
}

/** Refuses before anything is asked of the service where nobody could be asked for consent. */
export function requireSomebody(cli: Cli, yes: boolean): void {
  if (yes || (cli.io.stdin.isTTY && cli.io.stderr.isTTY)) return;
  throw new HostError('invalid-params', 'this needs consent, and there is no terminal to ask on', {
    hint: 'see what the plugin may do with `lattice plugins show <id>`, then say --yes',
  });
}

/** Shows what it is about, and asks unless that was answered with --yes. Anything but yes is no. */
export async function askConsent(cli: Cli, text: string, question: string, yes: boolean): Promise<void> {
  await cli.note(text);
  if (yes) return;
  const prompt = createInterface({ input: cli.io.stdin, output: cli.io.stderr });
  const closed = new Promise<string>((resolve) => prompt.once('close', () => resolve('')));
  const answer = await Promise.race([prompt.question(`${question} [y/N] `), closed]);
  prompt.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new HostError('cancelled', 'not consented to, nothing was changed');
}
