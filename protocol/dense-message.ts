import { createDenseParser, type DenseParser } from './dense-json.ts';
import { parseJson } from './parse-json.ts';
import { type Refused, refuse } from './strict-json.ts';
import { costs } from './work.ts';

type End = { ok: true; value: Record<string, unknown> } | Refused;
export type DenseMessage = {
  /** Works off about so many values; `end` is there when the line is done. */
  step(values: number): { work: number; end: End | null };
};

/** Stands for the params of a request that hold more values than any method takes: it fits no schema, and its one field says why. */
export const tooManyValues: Readonly<Record<string, boolean>> = Object.freeze({ '(more values than any method takes)': true });

const plainValues = 500; // a member with no more is parsed at once
const known: ReadonlySet<unknown> = new Set(['$/progress', '$/cancelRequest']);

/**
 * A message of very many values: first looked at to its end without keeping any, because most such lines are of no use to anybody; then only
 * what somebody waits for is made, an answer or a word of progress.
 */
export function createDenseMessage(text: string, depth: number): DenseMessage {
  const looking = createDenseParser(text, { depth, build: false });
  const message: Record<string, unknown> = {};
  let building: { key: string; parser: DenseParser }[] | null = null;

  /** What the line says beside its many values, and which of these are wanted. */
  function choose(): { key: string; parser: DenseParser }[] {
    const wanted: { key: string; parser: DenseParser }[] = [];
    const dense: string[] = [];
    for (const [key, { from, to, values }] of looking.members())
      if (values <= plainValues) message[key] = parseJson(text.slice(from, to));
      else dense.push(key);
    const { method } = message;
    for (const key of dense) {
      const { from = 0, to = 0 } = looking.members().get(key) ?? {};
      const isAnswer = method === undefined && (key === 'result' || key === 'error');
      if (isAnswer || (key === 'params' && known.has(method)))
        wanted.push({ key, parser: createDenseParser(text, { depth, build: true, from, to }) });
      else message[key] = key === 'params' && !String(method).startsWith('$/') ? tooManyValues : {};
    }
    return wanted;
  }

  return {
    step(values) {
      if (!building) {
        const work = values * costs.lookedAt;
        if (!looking.step(values)) return { work, end: null };
        const rule = looking.fault();
        if (rule) return { work, end: refuse(rule) };
        building = choose();
        return { work, end: building.length === 0 ? { ok: true, value: message } : null };
      }
      const [first] = building;
      if (first?.parser.step(values)) {
        message[first.key] = first.parser.value();
        building.shift();
      }
      return { work: values * costs.built, end: building.length === 0 ? { ok: true, value: message } : null };
    },
  };
}
