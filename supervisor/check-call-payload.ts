import { findPayloadFault } from '../protocol/check-payload.ts';
import { HostError } from '../protocol/errors.ts';
import type { Manifest, ServiceMethod } from '../protocol/manifest-form.ts';
import { describeSchema } from './describe-schema.ts';
import type { CallRequest } from './plugin-view.ts';

/** Refuses a payload that is not what the method declares, before the plugin sees it. */
export function checkCallPayload({ id }: Pick<Manifest, 'id'>, { params }: ServiceMethod, { service, method, payload }: CallRequest): void {
  const fault = params && findPayloadFault(params, payload ?? null);
  if (!fault) return;
  throw new HostError('invalid-params', `${service}.${method} of ${id}: ${fault.message}`, {
    rule: 'payload',
    pointer: fault.pointer,
    keyword: fault.keyword,
    hint: `it takes ${cut(describeSchema(params))}`,
  });
}

const cut = (text: string): string => (text.length > 500 ? `${text.slice(0, 500)}…` : text);
