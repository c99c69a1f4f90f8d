import { HostError } from '../protocol/errors.ts';
import type { HostMethod, ParsedParams } from '../protocol/host-methods.ts';
import { parseJson } from '../protocol/parse-json.ts';
import type { Grant } from './broker.ts';
import { egressLine, isListed } from './host/egress-rules.ts';

type Check<M extends HostMethod> = (params: ParsedParams<M>, grant: Grant) => HostError | null;

function bucketReach({ bucket }: { bucket?: string | undefined }, grant: Grant): HostError | null {
  if (bucket === undefined || grant.readBuckets.includes(bucket)) return null;
  return new HostError('capability-denied', `${grant.pluginId} may not read the bucket ${bucket}`, {
    rule: 'bucket-not-listed',
    pointer: '/kv/read_buckets/-',
    line: JSON.stringify(bucket),
    hint: `add ${JSON.stringify(bucket)} to "kv": {"read_buckets": […]} in the manifest, or leave bucket out for the plugin's own`,
  });
}

function egressReach({ url }: ParsedParams<'http.fetch'>, grant: Grant): HostError | null {
  const parsed = URL.parse(url);
  if (!parsed || !/^https?:$/.test(parsed.protocol)) return null; // the handler says what is wrong with it
  const port = Number(parsed.port || (parsed.protocol === 'https:' ? 443 : 80));
  if (isListed(grant.egress, parsed.hostname, port)) return null;
  const line = egressLine(parsed.hostname, port);
  return new HostError('egress-blocked', `${grant.pluginId} may not connect to ${parsed.hostname}:${port}`, {
    rule: 'egress-not-listed',
    ...(line !== null && grant.egressSetBy === 'operator'
      ? { hint: `the operator sets its hosts: lattice plugins egress ${grant.pluginId} --allow ${parseJson(line)}` }
      : line === null
        ? { hint: 'no manifest line could allow this host' }
        : { pointer: '/egress/-', line, hint: `add ${line} to "egress" in the manifest` }),
  });
}

/** Where a granted capability is narrowed by the manifest: what is out of its reach is refused, and recorded so, before anything is done. */
const checks: { readonly [M in HostMethod]?: Check<M> } = { 'kv.get': bucketReach, 'kv.list': bucketReach, 'http.fetch': egressReach };

export function checkReach(method: HostMethod, params: unknown, grant: Grant): HostError | null {
  // The row that parsed the params also picked the check; TypeScript cannot correlate the two.
  const check = checks[method] as ((params: unknown, grant: Grant) => HostError | null) | undefined;
  return check ? check(params, grant) : null;
}
