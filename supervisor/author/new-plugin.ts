import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { capabilities, isCapability } from '../../protocol/capabilities.ts';
import { HostError } from '../../protocol/errors.ts';
import { hostMethodNames, hostMethods } from '../../protocol/host-methods.ts';
import { parseManifest, schemaV3 } from '../../protocol/manifest.ts';
import type { ServiceMethod } from '../../protocol/manifest-form.ts';
import { findPackageRoot } from '../package-root.ts';
import { fillTemplate } from './fill-template.ts';
import { isCheckout, packageName } from './own-package.ts';

export const languages = ['ts', 'js', 'c', 'go'] as const;
export type Language = (typeof languages)[number];
export type NewPlugin = {
  language: Language;
  id: string;
  name: string;
  publisher: string;
  capabilities: readonly string[];
  egress: readonly string[];
};

export const defaultCapabilities = ['kv:read', 'kv:write', 'log:write'] as const;
const templates = join(import.meta.dirname, 'templates');
const sources: Readonly<Record<Language, readonly [main: string, ...more: string[]]>> = {
  ts: ['plugin.ts', 'tsconfig.json'],
  js: ['plugin.js'],
  c: ['plugin.c'],
  go: ['plugin.go', 'wire.go', 'go.mod'],
};

/** A plugin id from a folder's name: the name itself where it is one. */
export function suggestId(folder: string): string {
  const word = basename(folder)
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '');
  return word.includes('.') ? word : `example.${word === '' ? 'plugin' : word}`;
}

/** The last part of an id as words: `example.my-plugin` gives `My plugin`. */
export function suggestName(id: string): string {
  const words = (id.split('.').at(-1) ?? id).replaceAll(/[-_]+/g, ' ').trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** The files of a new plugin. Throws HostError `invalid-params` when the manifest that it asks for could not be accepted. */
export function renderPlugin(plugin: NewPlugin, packageSpecifier: string): Map<string, string> {
  const isNative = plugin.language === 'c' || plugin.language === 'go';
  const manifest = createManifest(plugin, isNative);
  const [mainFile, ...more] = sources[plugin.language];
  const testFile = plugin.language === 'ts' ? 'plugin.test.ts' : 'plugin.test.js';
  const held = new Set(plugin.capabilities);
  const values = {
    ...Object.fromEntries(languages.map((language) => [language, language === plugin.language])),
    id: plugin.id,
    name: plugin.name,
    module: plugin.id.replaceAll('.', '_'),
    capabilityList: plugin.capabilities.map((capability) => `'${capability}'`).join(', '),
    capabilityRows: renderCapabilityRows(plugin.capabilities),
    hostCalls: plugin.capabilities.length > 0,
    mainFile,
    testFile,
    native: isNative,
    checkout: isCheckout,
    kv: held.has('kv:read') && held.has('kv:write'),
    log: held.has('log:write'),
    host: (held.has('kv:read') && held.has('kv:write')) || held.has('log:write'),
  };
  const fill = (file: string) => fillTemplate(readFileSync(join(templates, `${file}.tmpl`), 'utf8'), values);
  return new Map([
    ['plugin.json', `${JSON.stringify(manifest, null, 2)}\n`],
    ...[mainFile, ...more].map((file): [string, string] => [file, fill(`${plugin.language}/${file}`)]),
    [testFile, fill('all/plugin.test')],
    ['README.md', fill('all/README.md')],
    ['package.json', renderPackage(plugin, packageSpecifier)],
    ['.gitignore', fill('all/gitignore')],
  ]);
}

function createManifest({ id, name, publisher, capabilities: wanted, egress }: NewPlugin, isNative: boolean): object {
  const unknown = wanted.find((capability) => !isCapability(capability));
  if (unknown !== undefined)
    throw new HostError('invalid-params', `${unknown.slice(0, 64)} is no capability`, {
      hint: `the capabilities are ${Object.keys(capabilities).join(', ')}`,
    });
  const manifest = {
    schema: schemaV3,
    id,
    name,
    version: '0.1.0',
    publisher,
    type: 'system',
    engine: isNative ? 'native' : 'node',
    capabilities: wanted,
    ...(egress.length > 0 ? { egress } : {}),
    services: [{ name: 'greeter', methods: [createMethod(wanted.includes('kv:read') && wanted.includes('kv:write'))] }],
  };
  const packed = { ...manifest, digest_sha256: '0'.repeat(64), signature_ed25519: Buffer.alloc(64).toString('base64') };
  const parsed = parseManifest(Buffer.from(JSON.stringify(packed)));
  if (!parsed.ok) throw new HostError('invalid-params', parsed.fault.detail, { rule: parsed.fault.code, hint: 'see lattice new --help' });
  return manifest;
}

/** What the templates answer to. `counts`: they have a store to count in. */
const createMethod = (counts: boolean): ServiceMethod => ({
  name: 'greet',
  effect: 'read',
  scopes: ['plugin:call'],
  timeout_ms: 5000,
  params: {
    type: 'object',
    properties: { name: { type: 'string', description: 'who is greeted', minLength: 1, maxLength: 64 } },
    required: ['name'],
  },
  result: {
    type: 'object',
    properties: { message: { type: 'string' }, ...(counts ? { count: { type: 'integer', minimum: 1 } } : {}) },
    required: ['message', ...(counts ? ['count'] : [])],
  },
});

function renderPackage({ id, language }: NewPlugin, packageSpecifier: string): string {
  const manifest = {
    name: (id.split('.').at(-1) ?? id).replace(/^[._-]+/, ''),
    version: '0.1.0',
    private: true,
    type: 'module',
    scripts: { dev: 'lattice dev', test: 'lattice test', ...(language === 'ts' ? { check: 'tsc -p .' } : {}), pack: 'lattice pack .' },
    devDependencies: { [packageName]: packageSpecifier },
  };
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

const renderCapabilityRows = (names: readonly string[]): string =>
  names
    .map((name) => {
      const calls = hostMethodNames.filter((method) => hostMethods[method].capability === name);
      const shown = calls.map((method) => `\`${method}(${JSON.stringify(hostMethods[method].sample.params)})\``);
      return `| \`${name}\` | ${shown.join(', ') || 'none yet in this version'} |`;
    })
    .join('\n');

/** Refuses a folder that holds anything: nothing is ever written over. */
export function requireEmpty(folder: string): void {
  const found = lstatSync(folder, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isDirectory())
    throw new HostError('conflict', `${folder} is not a folder`, { rule: 'not-a-folder', hint: 'name a folder that does not exist yet' });
  if (readdirSync(folder).length > 0)
    throw new HostError('conflict', `${folder} is not empty`, { rule: 'not-empty', hint: 'name a folder that does not exist yet' });
}

/** Writes the plugin, and links this package into it, so that its editor, its tests and `npx lattice` find it without an installation. */
export function writePlugin(folder: string, plugin: NewPlugin): string[] {
  requireEmpty(folder);
  const root = findPackageRoot();
  const files = renderPlugin(plugin, `file:${relative(folder, root)}`);
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of files) writeFileSync(join(folder, name), text, { flag: 'wx' });
  if (!canResolve(folder)) linkPackage(folder, root);
  return [...files.keys()].sort();
}

function canResolve(folder: string): boolean {
  try {
    createRequire(join(folder, 'plugin.json')).resolve(`${packageName}/package.json`);
    return true;
  } catch {
    return false;
  }
}

function linkPackage(folder: string, root: string): void {
  const modules = join(folder, 'node_modules');
  const bin = join(modules, '.bin');
  mkdirSync(bin, { recursive: true });
  symlinkSync(root, join(modules, packageName));
  const command = join(root, 'supervisor', 'cli', 'lattice.js');
  if (existsSync(command))
    symlinkSync(relative(dirname(join(bin, 'lattice')), join(modules, packageName, 'supervisor/cli/lattice.js')), join(bin, 'lattice'));
}
