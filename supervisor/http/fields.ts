import { z } from 'zod';
import { HostError } from '../../protocol/errors.ts';
import type { Actor } from '../plugin-view.ts';

/** Whether a plugin of this id exists is the supervisor's to say; here it is only kept short. */
export const pluginId = z.string().trim().min(1).max(128);
export const byId = z.strictObject({ id: pluginId });
export const bundleSha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hex digits');

/** Which hosts these may be depends on the plugin; here they are only kept short. */
export const egressHosts = z.array(z.string().max(262)).max(64);

/** A whole number in a query, where everything is text. */
export const queryNumber = (least: number, most: number) =>
  z
    .string()
    .regex(/^[0-9]{1,15}$/, 'must be a whole number')
    .transform(Number)
    .refine((value) => value >= least && value <= most, `must be from ${least} to ${most}`);

/** The caller of a route that has a scope. The dispatcher let nobody else through. */
export function actorOf(request: { actor: Actor | null }): Actor {
  if (request.actor === null) throw new HostError('unauthenticated', 'this needs a token');
  return request.actor;
}
