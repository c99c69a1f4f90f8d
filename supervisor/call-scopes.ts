import { risks } from '../protocol/capabilities.ts';
import { HostError } from '../protocol/errors.ts';
import type { Manifest, ServiceMethod } from '../protocol/manifest-form.ts';
import { isScope, scopeTable } from '../protocol/scopes.ts';
import type { Actor, CallRequest } from './plugin-view.ts';

/** The declared method, or `method-not-found` with what there is. */
export function findMethod(manifest: Manifest, { service, method }: CallRequest): ServiceMethod {
  const services = manifest.services ?? [];
  const row = services.find(({ name }) => name === service)?.methods.find(({ name }) => name === method);
  if (row) return row;
  const known = services.flatMap(({ name, methods }) => methods.map((each) => `${name}.${each.name}`));
  throw new HostError('method-not-found', `${manifest.id} does not declare ${service.slice(0, 64)}.${method.slice(0, 64)}`, {
    hint: known.length === 0 ? 'its manifest declares no service' : `it declares ${known.slice(0, 20).join(', ')}`,
  });
}

const adminOnly: readonly string[] = ['plugin:admin'];

/**
 * Refuses a caller without `plugin:call`, without a scope that the method names (none named: `plugin:admin`), or, for a method that writes or
 * changes the host, without any scope of at least that risk: a plugin's own declaration cannot lower what its effect needs.
 */
export function checkCallScopes(id: string, row: ServiceMethod, actor: Actor): void {
  const lacks = (scope: string) => !actor.scopes.includes(scope);
  const named = row.scopes.length === 0 ? adminOnly : row.scopes;
  if (lacks('plugin:call') || named.some(lacks)) {
    const missing = ['plugin:call', ...named].filter(lacks);
    throw new HostError('forbidden', `calling ${row.name} of ${id} needs the scope ${missing.join(' and ')}`, {
      scopes: missing,
      hint: 'create a token with these scopes',
    });
  }
  const needed = risks.indexOf(row.effect);
  if (!actor.scopes.some((scope) => isScope(scope) && risks.indexOf(scopeTable[scope].risk) >= needed)) {
    const enough = Object.entries(scopeTable).filter(([, { risk }]) => risks.indexOf(risk) >= needed);
    throw new HostError('forbidden', `${row.name} of ${id} has effect ${row.effect}: its caller needs a scope of that risk`, {
      hint: `one of ${enough.map(([name]) => name).join(', ')}`,
    });
  }
}
