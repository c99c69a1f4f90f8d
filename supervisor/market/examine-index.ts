import { verify } from 'node:crypto';
import { parsePublisherKey } from '../publisher-key.ts';
import { type ReadIndex, readIndex } from './read-index.ts';

export type ExamineJob = { kind: 'examine'; bytes: Uint8Array; keys: readonly string[] };
/** `signatures`: of those that the index holds, at most one for each key. */
export type Examined = ReadIndex;

/**
 * Reads an index and looks for the signatures that count. Whoever passes an index on can add signatures to it, and each costs as much as a good
 * one for every key: only those that some key made are handed on, to be checked once more there. Where none is, one stays, to be refused.
 */
export function examineIndex({ bytes, keys }: ExamineJob): Examined {
  const read = readIndex(bytes);
  if (!read.ok) return read;
  const { signatures } = read.index;
  const made = keys.flatMap((text) => {
    const parsed = parsePublisherKey(text);
    return parsed.ok ? (signatures.find(({ signature }) => verify(null, read.payload, parsed.key, signature)) ?? []) : [];
  });
  return { ...read, index: { ...read.index, signatures: made.length > 0 ? [...new Set(made)] : signatures.slice(0, 1) } };
}
