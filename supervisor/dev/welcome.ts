import type { Config } from '../config.ts';
import { nameOfChange } from '../name-of-change.ts';
import type { PluginView } from '../plugin-view.ts';
import type { Service } from '../service.ts';
import { developmentIds, developmentPublisher } from './development-key.ts';

/** What a newcomer sees when the service is up: where it is, where the token is (never the token), what was found, what to try. */
export function printWelcome(
  {
    url,
    adminTokenFile,
    tokenProblem,
    sandbox,
    supervisor,
    safeMode,
  }: Pick<Service, 'url' | 'adminTokenFile' | 'tokenProblem' | 'sandbox' | 'supervisor' | 'safeMode'>,
  config: Pick<Config, 'dataDir'>,
  { out, isCheckout }: { out: { write(text: string): unknown }; isCheckout: boolean },
): void {
  if (supervisor === null) {
    out.write(`\nLattice plugin supervisor on ${url}, in safe mode: ${safeMode?.detail}\n  npx --no lattice doctor  says what to do\n\n`);
    return;
  }
  const plugins = supervisor.list();
  const refused = supervisor.refused();
  const lines = [
    '',
    `Lattice plugin supervisor on ${url}`,
    `  admin token   ${adminTokenFile}${tokenProblem ? ` (${tokenProblem})` : ''}`,
    `  data          ${config.dataDir}`,
    `  sandbox       ${sandbox === null ? 'none: the noop runner runs no plugin code' : `${sandbox.level}${sandbox.level === 'restricted' ? ' (weaker than isolated; see: npx --no lattice doctor)' : ''}`}`,
    `  plugins       ${plugins.map(describe).join(', ') || 'none'}`,
    ...refused.map(({ folder, code, detail }) => `  refused       ${folder}: ${code}: ${detail}`),
    ...(isCheckout && refused.some(({ code }) => ownCodes.has(code)) ? [explainDevelopment()] : []),
    '',
    'Try, in another terminal:',
    ...['plugins list', ...nextSteps(plugins.find(({ id }) => id === example)), 'audit'].map((verb) => `  npx --no lattice ${verb}`),
    '',
    'Ctrl-C stops it.',
    '',
  ];
  out.write(lines.join('\n'));
}

const example = 'example.hello';

const describe = ({ id, status, upgrade }: PluginView): string =>
  `${id} (${status}${upgrade ? `, ${nameOfChange(upgrade.change)} ${upgrade.version} available` : ''})`;

/** What is to be done with the example, as far as it is not done yet. */
function nextSteps(plugin: PluginView | undefined): string[] {
  if (!plugin) return [];
  return [
    ...(plugin.status === 'verified' ? [`plugins install ${example}`] : []),
    ...(plugin.upgrade ? [`plugins upgrade ${example}`] : []),
    ...(plugin.status === 'active' ? [] : [`plugins activate ${example}`]),
    `plugins call ${example} greeter.greet '{"name":"Ada"}'`,
  ];
}

/** Refusals that come of the policy which `npm start` writes. */
const ownCodes: ReadonlySet<string> = new Set(['publisher-not-trusted', 'id-not-allowed']);

const explainDevelopment = (): string =>
  `                With npm start only the publisher ${developmentPublisher} counts, for ids that begin with ${developmentIds.join(' or ')};
                for another see "Trying it in a service of your own" in docs/AUTHOR.md`;
