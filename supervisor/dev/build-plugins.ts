import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { endWithFault } from './end-with-fault.ts';
import { packExamples } from './example-plugins.ts';

/** `npm run build:plugins`: packs and signs the plugins of the checkout without starting the service. A running one sees them at a rescan. */
const dataDir = resolve(fileURLToPath(new URL('../../', import.meta.url)), process.env.LATTICE_DATA_DIR || 'var');
process.umask(0o077);
mkdirSync(dataDir, { recursive: true, mode: 0o700 });
packExamples(dataDir, (line) => process.stdout.write(`${line}\n`)).then(
  ({ pluginDir }) => process.stdout.write(`the bundles are in ${pluginDir}\n`),
  endWithFault,
);
