import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { fixtureSchema } from './fixture/fixture-schema.ts';

const target = new URL('../../docs/fixture.schema.json', import.meta.url);

/** The JSON Schema of fixtures, for editors: `# yaml-language-server: $schema=…` or `"$schema"`. */
export function renderFixtureSchema(): string {
  const schema = z.toJSONSchema(fixtureSchema, { io: 'input', unrepresentable: 'any' });
  return `${JSON.stringify({ title: 'Fixture of lattice dev', ...schema }, null, 2)}\n`;
}

if (import.meta.main) {
  const rendered = renderFixtureSchema();
  if (process.argv.includes('--check')) {
    if (readFileSync(target, 'utf8') !== rendered) {
      process.stderr.write('docs/fixture.schema.json is not what the fixture format gives: run npm run docs\n');
      process.exit(1);
    }
  } else writeFileSync(target, rendered);
}
