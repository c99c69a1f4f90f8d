import { HostError } from '../protocol/errors.ts';
import { egressList } from '../protocol/manifest.ts';
import type { Manifest } from '../protocol/manifest-form.ts';

/** A v3 manifest names the hosts itself, and consent to it covers them; the older forms have no field for that, so the operator does. */
export const isEgressSetByOperator = ({ form }: Pick<Manifest, 'form'>): boolean => form !== 'v3';

/** The hosts that a plugin may reach: its manifest's, or those that the operator set for it. None of either means none. */
export function egressOf(manifest: Manifest, setByOperator: readonly string[]): readonly string[] {
  if (!isEgressSetByOperator(manifest)) return manifest.egress ?? [];
  return manifest.capabilities.includes('http:egress') ? setByOperator : [];
}

/** Refuses hosts that an operator cannot set for this manifest, or that no rule could mean. */
export function requireSettable(manifest: Manifest, hosts: readonly string[]): void {
  const { id } = manifest;
  const refuse = (rule: string, message: string, hint: string): never => {
    throw new HostError('invalid-params', message, { rule, hint });
  };
  if (!isEgressSetByOperator(manifest))
    refuse(
      'egress-in-manifest',
      `${id} names its hosts itself, in a signed manifest`,
      'a host more needs a new version from its publisher',
    );
  if (hosts.length > 0 && !manifest.capabilities.includes('http:egress'))
    refuse('egress-needs-capability', `${id} does not ask for http:egress, so no host would be reached`, 'leave the hosts out');
  const checked = egressList.safeParse(hosts);
  if (!checked.success) {
    const [issue] = checked.error.issues;
    refuse(
      'invalid-egress',
      `host ${Number(issue?.path[0] ?? 0) + 1}: ${issue?.message ?? 'refused'}`,
      'write host:port, like api.example.com:443',
    );
  }
}
