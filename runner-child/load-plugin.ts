import type { Plugin } from './define-plugin.ts';

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** What the verified manifest says; the artifact may name less, never more. */
export type Declared = { services: Readonly<Record<string, readonly string[]>>; capabilities: readonly string[] };

/** Imports the artifact and checks what it exports; a throw says what the author must change. */
export async function loadPlugin(importArtifact: () => Promise<unknown>, { services: declared, capabilities }: Declared): Promise<Plugin> {
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
  checkManifest(exported.manifest, capabilities);
  checkFunctions(exported);
  checkBackground(exported.background ?? {});
  return exported as Plugin; // every part that is called has been checked to be a function
}

function checkManifest(named: unknown, granted: readonly string[]): void {
  if (named === undefined) return;
  const list = isObject(named) ? named.capabilities : undefined;
  if (!Array.isArray(list)) throw new Error('the manifest given to definePlugin has no "capabilities"');
  const missing = list.find((capability) => !granted.includes(capability));
  if (missing !== undefined)
    throw new Error(`definePlugin is given the capability ${missing}, which plugin.json does not have: add it there, or take it out here`);
}

function checkFunctions(exported: Record<string, unknown>): void {
  for (const name of ['onStart', 'onShutdown', 'health', 'routes']) {
    if (exported[name] !== undefined && typeof exported[name] !== 'function') throw new Error(`"${name}" must be a function`);
  }
}

const everyMost = 2 ** 31 - 1; // a longer timer fires at once

function checkBackground(tasks: unknown): void {
  if (!isObject(tasks)) throw new Error('"background" must be an object of tasks, like { refresh: { everyMs: 60000, run() {} } }');
  for (const [name, task] of Object.entries(tasks)) {
    if (!isObject(task) || typeof task.run !== 'function') throw new Error(`background task ${name} has no function "run"`);
    const { everyMs } = task;
    if (everyMs !== undefined && !(typeof everyMs === 'number' && everyMs >= 100 && everyMs <= everyMost))
      throw new Error(`"everyMs" of background task ${name} must be a number from 100 to ${everyMost}`);
  }
}
