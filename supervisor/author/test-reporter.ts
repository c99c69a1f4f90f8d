import type { TestEvent } from 'node:test/reporters';

type Source = AsyncIterable<TestEvent>;

/** For `lattice test --json`: one JSON object a line, like the events of `lattice dev`. */
export default async function* reportLines(source: Source): AsyncGenerator<string> {
  for await (const event of source) {
    const line = describe(event);
    if (line) yield `${JSON.stringify(line)}\n`;
  }
}

function describe({ type, data }: TestEvent): object | null {
  if (type === 'test:pass' || type === 'test:fail') {
    const { name, nesting, details, skip, todo } = data;
    const error = type === 'test:fail' ? { error: messageOf(data.details.error) } : {};
    const where = { file: data.file ?? null, line: data.line ?? null };
    return {
      kind: 'test',
      ok: type === 'test:pass',
      name,
      nesting,
      ...where,
      ms: details.duration_ms,
      skipped: isSet(skip) || isSet(todo),
      ...error,
    };
  }
  if (type === 'test:stdout' || type === 'test:stderr') return { kind: 'output', stream: type.slice('test:'.length), text: data.message };
  if (type !== 'test:summary' || data.file !== undefined) return null;
  const { passed, skipped, todo, tests } = data.counts;
  return { kind: 'summary', ok: data.success, tests, passed, failed: tests - passed - skipped - todo, skipped: skipped + todo };
}

const isSet = (mark: string | boolean | undefined): boolean => mark !== undefined && mark !== false;
const messageOf = ({ cause, message }: Error): string => (cause instanceof Error ? cause.message : message);
