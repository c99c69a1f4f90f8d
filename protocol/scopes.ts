import type { Risk } from './capabilities.ts';

type Row = { risk: Risk; sentence: string };

/** What an API token may do: a closed table. A service method of a plugin names the ones its caller must hold. */
export const scopeTable = {
  'plugin:admin': { risk: 'host', sentence: 'take plugins through their lifecycle and configure them' },
  'plugin:call': { risk: 'read', sentence: 'call service methods of plugins' },
  'plugin:verify': { risk: 'read', sentence: 'have a bundle checked without installing it' },
  'plugin:logs': { risk: 'read', sentence: 'read plugin logs and reasons' },
  'audit:read': { risk: 'read', sentence: 'read and verify the audit, and list plugins' },
  'kv:admin': { risk: 'write', sentence: 'read and change the entries of every bucket' },
  'node:read': { risk: 'read', sentence: 'see the list of managed nodes' },
  'metrics:read': { risk: 'read', sentence: 'read metrics' },
  'approval:write': { risk: 'host', sentence: 'approve or reject host changes' },
  'token:admin': { risk: 'host', sentence: 'create, list and revoke tokens' },
} as const satisfies Record<string, Row>;

export type Scope = keyof typeof scopeTable;
export const scopes = Object.keys(scopeTable) as Scope[]; // the object literal's own keys are exactly the type
export const isScope = (name: string): name is Scope => Object.hasOwn(scopeTable, name);
