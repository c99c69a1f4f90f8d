import { isScope, type Scope } from './scopes.ts';

const families: Readonly<Record<string, readonly string[]>> = {
  admin: [
    'ddns',
    'dns',
    'geo',
    'group',
    'inventory',
    'kv',
    'log',
    'monitor',
    'netguard',
    'netpolicy',
    'node',
    'oidc',
    'plugin',
    'proxy',
    'static',
    'substore',
    'token',
    'tunnel',
    'user',
    'vpncore',
  ],
  read: [
    'audit',
    'geo',
    'group',
    'inventory',
    'kv',
    'log',
    'monitor',
    'netguard',
    'netpolicy',
    'node',
    'proxy',
    'static',
    'substore',
    'task',
    'vpncore',
  ],
  write: ['kv', 'log', 'static'],
};
const single = ['network:apply', 'network:plan', 'notify:send', 'plugin:verify', 'task:run', 'terminal:open', 'worker:deploy'];

/** The scopes that the public server knows: a v1 or v2 manifest may name these and no others. */
const publicScopes: ReadonlySet<string> = new Set([
  ...Object.entries(families).flatMap(([verb, domains]) => domains.map((domain) => `${domain}:${verb}`)),
  ...single,
]);
export const isPublicScope = (name: string): boolean => publicScopes.has(name);

/** A scope that no token of this server can hold is asked of an administrator instead: never of nobody, never of anybody. */
export const toOwnScopes = (names: readonly string[]): Scope[] => [
  ...new Set(names.map((name) => (isScope(name) ? name : 'plugin:admin'))),
];
