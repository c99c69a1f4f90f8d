import { type Capability, capabilityNames, typeRefusal } from '../../../protocol/capabilities.ts';
import { type HostMethod, hostMethods, isHostMethod } from '../../../protocol/host-methods.ts';
import { parseJson } from '../../../protocol/parse-json.ts';
import type { Dispatch, Grant } from '../../broker.ts';
import { egressLine } from '../../host/egress-rules.ts';
import { portOf } from '../../host/fetch-request.ts';

/** What a plugin has asked for: the smallest grant that lets it do the same again. */
export type Used = { capabilities: ReadonlySet<Capability>; egress: readonly string[]; readBuckets: readonly string[] };

/**
 * A grant that says yes to everything that the type of plugin may have, and remembers what was used. Hosts and buckets are added just before
 * the broker looks for them, so that its own checks stay as they are.
 */
export function createWideGrant(pluginId: string, type: Parameters<typeof typeRefusal>[0]) {
  const egress: string[] = [];
  const readBuckets: string[] = [];
  const used = new Set<Capability>();
  const grant: Grant = {
    pluginId,
    capabilities: new Set(capabilityNames.filter((name) => typeRefusal(type, name) === null)),
    egress,
    readBuckets,
  };
  const addOnce = (list: string[], item: string) => void (list.includes(item) || list.push(item));

  function addHost(url: URL | null): void {
    const line = url && /^https?:$/.test(url.protocol) ? egressLine(url.hostname, portOf(url)) : null;
    if (line !== null) addOnce(egress, parseJson(line) as string); // the line is a JSON text
  }

  function widen(method: HostMethod, params: unknown): void {
    used.add(hostMethods[method].capability);
    const { url, bucket } = (typeof params === 'object' && params !== null ? params : {}) as { url?: unknown; bucket?: unknown };
    if (method === 'http.fetch' && typeof url === 'string') addHost(URL.parse(url));
    if (method.startsWith('kv.') && typeof bucket === 'string') addOnce(readBuckets, bucket);
  }

  return {
    grant,
    used: (): Used => ({ capabilities: used, egress, readBuckets }),
    allowRedirect: (from: URL, location: string): void => addHost(URL.parse(location, from.href)),
    widening:
      (dispatch: Dispatch): Dispatch =>
      (method, params, context) => {
        if (isHostMethod(method)) widen(method, params);
        return dispatch(method, params, context);
      },
  };
}

export type WideGrant = ReturnType<typeof createWideGrant>;
