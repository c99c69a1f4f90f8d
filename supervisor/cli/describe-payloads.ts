import type { PayloadSchema } from '../../protocol/payload-schema.ts';
import { describeSchema } from '../describe-schema.ts';
import { visible } from './visible.ts';

type Declared = { params?: PayloadSchema | null | undefined; result?: PayloadSchema | null | undefined };

/** `(payload) -> answer` behind the name of a method, as far as its manifest says; hostile text made visible. */
export function describePayloads({ params, result }: Declared): string {
  if (!params && !result) return '';
  return `(${params ? visible(describeSchema(params)) : 'anything'})${result ? ` -> ${visible(describeSchema(result))}` : ''}`;
}
