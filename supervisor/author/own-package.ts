import { readFileSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'esbuild';

/** What a plugin imports: this name and its subpaths mean the copy that the command belongs to, wherever the plugin lies. */
export const packageName = 'lattice-plugin-supervisor';

const sourceForm = extname(import.meta.filename); // .ts in a checkout, .js in the packed form
const own = (path: string): string => fileURLToPath(new URL(`../../${path}${sourceForm}`, import.meta.url));

export const isCheckout = sourceForm === '.ts';
export const ownModules: ReadonlyMap<string, string> = new Map([
  [packageName, own('runner-child/define-plugin')],
  [`${packageName}/testing`, own('supervisor/author/test-host')],
]);

/**
 * For esbuild: packs what a plugin uses of this package under names of its own, so that the bytes of an artifact tell nothing of where the
 * package lies.
 */
export function createOwnResolver(): Plugin {
  const folder = dirname(ownModules.get(packageName) ?? '');
  const namespace = 'lattice';
  return {
    name: packageName,
    setup(build) {
      const resolveTo = (name: string) => ({ path: name, namespace, sideEffects: false });
      build.onResolve({ filter: new RegExp(`^${packageName}$`) }, () => resolveTo('define-plugin'));
      build.onResolve({ filter: /^\.\/[a-z-]+\.[jt]s$/, namespace }, ({ path }) => resolveTo(basename(path, sourceForm)));
      build.onLoad({ filter: /./, namespace }, ({ path }) => ({
        contents: readFileSync(join(folder, path + sourceForm), 'utf8'),
        loader: sourceForm === '.ts' ? 'ts' : 'js',
      }));
    },
  };
}
