import type { Grant, HostCall } from '../../supervisor/broker.ts';

/** What a handler is given for one call of `example.test`. */
export function createHostCall(method: string, grant: Partial<Grant> = {}, signal: AbortSignal = new AbortController().signal): HostCall {
  const full: Grant = { pluginId: 'example.test', capabilities: new Set(), egress: [], readBuckets: [], ...grant };
  const requestId = `${full.pluginId}:1.1`;
  const entry: HostCall['entry'] = {
    kind: 'host.decision',
    plugin: full.pluginId,
    generation: 1,
    method,
    verdict: 'allow',
    requestId,
    summary: '{}',
  };
  return { grant: full, generation: 1, requestId, signal, entry };
}
