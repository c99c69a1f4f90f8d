import type { Plugin } from './define-plugin.ts';

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** Imports the artifact and checks what it exports; a throw says what the author must change. */
export async function loadPlugin(
  importArtifact: () => Promise<unknown>,
  declared: Readonly<Record<string, readonly string[]>>,
): Promise<Plugin> {
  const module = await importArtifact();
  const exported = isObject(module) ? module.default : undefined;
  if (!isObject(exported)) throw new Error('the plugin has no default export: write `export default definePlugin({ … })`');
  const services = exported.services ?? {};
  if (!isObject(services)) throw new Error('"services" must be an object of objects of functions');
  for (const [service, methods] of Object.entries(declared)) {
    const table = Object.hasOwn(services, service) ? services[service] : undefined;
    for (const method of methods) {
      if (!isObject(table) || !Object.hasOwn(table, method) || typeof table[method] !== 'function') {
        throw new Error(
          `the manifest declares ${service}.${method}, but the plugin has no such function: add it to "services", or take it out of the manifest`,
        );
      }
    }
  }
  return exported as Plugin; // every part that is called has been checked to be a function
}
