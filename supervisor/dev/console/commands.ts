import { asHostError, HostError } from '../../../protocol/errors.ts';
import { parseStrictText } from '../../../protocol/strict-json.ts';
import { explainLine } from '../../explain-json.ts';
import { faultNames } from '../faults/fault-actions.ts';
import type { Harness } from '../harness/harness.ts';

export type CallRequest = { service: string; method: string; payload: unknown };

/** Reads `service.method {"json": 1}`; without JSON the payload is null. */
export function parseCall(text: string): CallRequest {
  const [, service = '', method = '', json = ''] = /^\s*([A-Za-z]\w*)\.([A-Za-z]\w*)\s*([\s\S]*)$/.exec(text) ?? [];
  if (service === '')
    throw new HostError('invalid-params', `"${text.slice(0, 80)}" is not a call`, { hint: 'write it like  greeter.greet {"name": "Ada"}' });
  if (json.trim() === '') return { service, method, payload: null };
  const parsed = parseStrictText(json);
  if (parsed.ok) return { service, method, payload: parsed.value };
  throw new HostError('invalid-params', `the payload ${explainLine(json, parsed)}`, {
    hint: 'write it like  greeter.greet {"name": "Ada"}',
  });
}

export const keysHelp = 'r reload   c call   p pause   f fault   k kv   q quit';

export const commandsHelp = [
  'r                        build and start again',
  'c service.method {json}  call a method',
  'p                        pause on the next host call; again: let it go on',
  `f action@step[#n]        inject a fault: ${faultNames.join(' ')}`,
  'k                        show what the buckets hold',
  'q                        quit',
].join('\n');

/** `onCallFailed`: beside the event that tells of it. */
type Deps = { harness: Harness; print(text: string): void; quit(): void; onCallFailed?(error: HostError): void };

/** Does what one key or one line of input says. What goes wrong is told, and ends nothing. */
export async function runCommand(text: string, { harness, print, quit, onCallFailed }: Deps): Promise<void> {
  const [name = '', rest = ''] = [text.trim().slice(0, 1), text.trim().slice(1).trim()];
  try {
    if (name === 'r') await harness.reload();
    else if (name === 'c') {
      const { service, method, payload } = parseCall(rest);
      await harness.call(service, method, payload).catch((thrown: unknown) => onCallFailed?.(harness.clean(asHostError(thrown))));
    } else if (name === 'p') harness.isPaused() ? harness.resume() : harness.pause();
    else if (name === 'f') harness.inject(rest);
    else if (name === 'k') print(await describeEntries(harness));
    else if (name === 'q') quit();
    else if (name !== '') print(commandsHelp);
  } catch (thrown) {
    const { message, details } = asHostError(thrown);
    if (name !== 'r') print(`${message}${typeof details.hint === 'string' ? `\n  hint: ${details.hint}` : ''}`); // the events of a reload tell all of it
  }
}

async function describeEntries(harness: Harness): Promise<string> {
  const rows = await harness.kv();
  if (rows.length === 0) return 'the buckets are empty';
  return rows
    .map((row) => harness.redact(row) as typeof row) // an object stays one
    .map(({ bucket, key, revision, value }) => `${bucket}  ${key}  r${revision}  ${value.slice(0, 200)}`)
    .join('\n');
}
