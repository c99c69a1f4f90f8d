import t from 'tap';
import type { Scope } from '../../protocol/scopes.ts';
import { checkCallScopes } from '../../supervisor/call-scopes.ts';

const rows: [effect: 'read' | 'write' | 'host', needs: Scope[], held: Scope[], allowed: boolean][] = [
  ['read', ['node:read'], ['plugin:call', 'node:read'], true],
  ['read', ['node:read'], ['plugin:call'], false],
  ['read', ['node:read'], ['node:read'], false],
  ['read', [], ['plugin:call'], false],
  ['read', [], ['plugin:call', 'plugin:admin'], true],
  ['read', ['plugin:call'], ['plugin:call'], true],
  ['write', ['plugin:call'], ['plugin:call'], false],
  ['write', ['node:read'], ['plugin:call', 'node:read'], false],
  ['write', ['plugin:call'], ['plugin:call', 'kv:admin'], true],
  ['write', ['plugin:call'], ['plugin:call', 'plugin:admin'], true],
  ['host', ['plugin:call'], ['plugin:call', 'kv:admin'], false],
  ['host', ['plugin:call'], ['plugin:call', 'approval:write'], true],
];
for (const [effect, needs, held, allowed] of rows) {
  t.test(
    `given a ${effect} method that names [${needs}], when a caller with [${held}] calls it, then it is ${allowed ? 'allowed' : 'forbidden'}`,
    async (t) => {
      const check = () => checkCallScopes('example.test', { name: 'm', effect, scopes: needs }, { id: 't-1', scopes: held, plugin: null });
      if (allowed) t.doesNotThrow(check);
      else t.throws(check, { code: 'forbidden' });
    },
  );
}
