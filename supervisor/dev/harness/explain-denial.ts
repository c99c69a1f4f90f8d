import { capabilities, isCapability } from '../../../protocol/capabilities.ts';
import type { Manifest } from '../../../protocol/manifest-form.ts';
import { egressLine } from '../../host/egress-rules.ts';
import { portOf } from '../../host/fetch-request.ts';
import type { Failure } from './harness-events.ts';

/** What would have to stand in plugin.json: `json` is to be added at `pointer`. */
export type Fix = { why: string; pointer: string; json: string };

/** The way out of a refusal, where the manifest has one: all that the call needs, so that one change is enough. */
export function explainDenial({ message, details }: Failure, manifest: Manifest, params: unknown): Fix[] {
  const { pointer, line, capability, rule } = details;
  if (typeof pointer !== 'string' || typeof line !== 'string' || rule === 'schema') return [];
  if (rule === 'capability-not-granted' && typeof capability === 'string' && isCapability(capability)) {
    const { risk, sentence } = capabilities[capability];
    const why = `it needs ${capability}, risk ${risk}: the operator reads that it can ${sentence}`;
    return [{ why, pointer, json: line }, ...(capability === 'http:egress' ? explainHost(manifest, params) : [])];
  }
  if (pointer === '/egress/-') return [{ why: message, ...addItem('/egress', manifest.egress, line) }];
  if (pointer === '/kv/read_buckets/-' && !manifest.kv) return [{ why: message, pointer: '/kv', json: `{ "read_buckets": [${line}] }` }];
  return [{ why: message, pointer, json: line }];
}

function explainHost(manifest: Manifest, params: unknown): Fix[] {
  const { url } = (typeof params === 'object' && params !== null ? params : {}) as { url?: unknown };
  const parsed = typeof url === 'string' ? URL.parse(url) : null;
  const line = parsed ? egressLine(parsed.hostname, portOf(parsed)) : null;
  return line === null ? [] : [{ why: 'and the host in its egress list', ...addItem('/egress', manifest.egress, line) }];
}

/** To a list that is not there yet nothing can be appended. */
const addItem = (pointer: string, list: readonly string[] | undefined, line: string) =>
  list ? { pointer: `${pointer}/-`, json: line } : { pointer, json: `[${line}]` };
