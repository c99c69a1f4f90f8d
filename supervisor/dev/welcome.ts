import type { Config } from '../config.ts';
import type { Service } from '../service.ts';

/** What a newcomer sees when the service is up: where it is, where the token is (never the token), what was found, what to try. */
export function printWelcome(
  { url, adminTokenFile, tokenProblem, sandbox, supervisor, safeMode }: Service,
  config: Config,
  out: { write(text: string): unknown },
): void {
  if (supervisor === null) {
    out.write(`\nLattice plugin supervisor on ${url}, in safe mode: ${safeMode?.detail}\n  npx --no lattice doctor  says what to do\n\n`);
    return;
  }
  const plugins = supervisor.list();
  const lines = [
    '',
    `Lattice plugin supervisor on ${url}`,
    `  admin token   ${adminTokenFile}${tokenProblem ? ` (${tokenProblem})` : ''}`,
    `  data          ${config.dataDir}`,
    `  sandbox       ${sandbox === null ? 'none: the noop runner runs no plugin code' : `${sandbox.level}${sandbox.level === 'restricted' ? ' (weaker than isolated; see: npx --no lattice doctor)' : ''}`}`,
    `  plugins       ${plugins.map(({ id, status, upgrade }) => `${id} (${status}${upgrade ? `, upgrade to ${upgrade.version} available` : ''})`).join(', ') || 'none'}`,
    ...supervisor.refused().map(({ folder, code, detail }) => `  refused       ${folder}: ${code}: ${detail}`),
    '',
    'Try, in another terminal:',
    '  npx --no lattice plugins list',
    '  npx --no lattice plugins install example.hello',
    '  npx --no lattice plugins activate example.hello',
    `  npx --no lattice plugins call example.hello greeter.greet '{"name":"Ada"}'`,
    '  npx --no lattice audit',
    '',
    'Ctrl-C stops it.',
    '',
  ];
  out.write(lines.join('\n'));
}
