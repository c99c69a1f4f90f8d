import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { ownModules } from './own-package.ts';

// Loaded with --import before a plugin's tests: the package that they import is the one that the command belongs to, installed or not.
registerHooks({
  resolve(specifier, context, nextResolve) {
    const file = ownModules.get(specifier);
    return file === undefined ? nextResolve(specifier, context) : { url: pathToFileURL(file).href, shortCircuit: true };
  },
});
