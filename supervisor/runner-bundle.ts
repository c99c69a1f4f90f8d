import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const built = new URL('./runner-child.mjs', import.meta.url); // stands beside this file in the packed form
const source = new URL('../runner-child/main.ts', import.meta.url);

/** The child's runner as one file of JavaScript: the built one of the packed form, or, in a checkout, made from the sources. */
export async function loadRunnerBundle(): Promise<Buffer> {
  if (existsSync(built)) return readFileSync(built);
  const { build, stop } = await import('esbuild');
  const result = await build({
    entryPoints: [fileURLToPath(source)],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    target: 'node26',
    external: ['lattice:artifact', 'lattice:boot'],
    legalComments: 'none',
    logLevel: 'silent',
  });
  await stop(); // its helper process would stay, with our whole environment
  const [file] = result.outputFiles;
  if (!file) throw new Error('the child runner could not be built');
  return Buffer.from(file.contents);
}
