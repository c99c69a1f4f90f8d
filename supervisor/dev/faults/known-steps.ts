import { childMethods } from '../../../protocol/child-methods.ts';
import { HostError } from '../../../protocol/errors.ts';
import { hostMethodNames } from '../../../protocol/host-methods.ts';
import type { Manifest } from '../../../protocol/manifest-form.ts';
import { findNearest } from '../../../protocol/nearest.ts';
import type { Fault } from './faults.ts';

const messages = [...Object.keys(childMethods), ...hostMethodNames, '*', '$/progress', '$/cancelRequest'];

/** A fault at a step that no message has would be waited for in vain. */
export function requireKnownStep({ step }: Fault, { services = [] }: Pick<Manifest, 'services'>): void {
  const declared = services.flatMap(({ name, methods }) => methods.map((method) => `${name}.${method.name}`));
  const known = [...messages, ...declared];
  const asked = step.replace(/\.answer$/, '');
  if (known.includes(step) || known.includes(asked)) return;
  const nearest = findNearest(asked, known);
  throw new HostError('invalid-params', `there is no step ${step.slice(0, 80)} at which a fault could be`, {
    rule: 'fault',
    hint: nearest
      ? `did you mean ${nearest}${step.endsWith('.answer') ? '.answer' : ''}?`
      : `name initialize, invoke, ping, shutdown, a host method like kv.get, * for all of those${declared.length > 0 ? `, or one of ${declared.slice(0, 8).join(', ')}` : ''}`,
  });
}
