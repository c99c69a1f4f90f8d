import { capabilities, risks } from '../protocol/capabilities.ts';
import type { Differences, MethodChange } from './bundle-difference.ts';

export const riskLevels = ['low', 'medium', 'high'] as const;
export type RiskLevel = (typeof riskLevels)[number];
/** How much an exchange of bundles deserves thought, and each reason, the gravest first. */
export type RiskStatement = { level: RiskLevel; reasons: string[] };
type Reason = { level: RiskLevel; text: string };

/**
 * What the operator is told of the differences. Only what widens a plugin's reach, or may break its callers, is a reason; and that other bytes
 * get hosts which the operator had set for the present ones.
 */
export function stateRisk(differences: Differences, setByOperator: readonly string[] = []): RiskStatement {
  const reasons = [
    ...judgeKept(setByOperator.filter((host) => !differences.egress.added.includes(host))),
    ...judgeIdentity(differences),
    ...judgeCapabilities(differences),
    ...judgeReach(differences),
    ...judgeServices(differences),
    ...judgeVersion(differences),
    ...judgeResources(differences),
  ].sort((a, b) => riskLevels.indexOf(b.level) - riskLevels.indexOf(a.level));
  return reasons.length === 0
    ? { level: 'low', reasons: ['it asks for nothing that the present version does not have'] }
    : { level: reasons[0]?.level ?? 'low', reasons: reasons.map(({ text }) => text) };
}

const judgeKept = (hosts: readonly string[]): Reason[] =>
  hosts.length === 0 ? [] : [{ level: 'medium', text: `its bytes are others, and it keeps the hosts that you set: ${hosts.join(', ')}` }];

function judgeIdentity({ identity }: Differences): Reason[] {
  return identity.map(({ field, from, to }) => {
    if (field === 'publisher' && to === '(unsigned)')
      return { level: 'high', text: 'it is not signed any more: nobody vouches for its bytes' };
    if (field === 'publisher')
      return { level: 'high', text: `another publisher signs it, and gets its settings and what it has stored: ${to} instead of ${from}` };
    if (field === 'engine' && to === 'native')
      return { level: 'high', text: 'it becomes a native program, held by the system’s cage alone' };
    if (field === 'name') return { level: 'low', text: `its name changes from ${from} to ${to}` };
    if (field === 'form') return { level: 'low', text: `its manifest is of another form: ${to} instead of ${from}` };
    return { level: 'medium', text: `its ${field} changes from ${from} to ${to}` };
  });
}

const levelOfRisk = { read: 'low', write: 'medium', host: 'high' } as const;

const judgeCapabilities = ({ capabilities: { added } }: Differences): Reason[] =>
  added.map((name) => ({
    level: levelOfRisk[capabilities[name].risk],
    text: `it could newly ${capabilities[name].sentence} (${name}, risk ${capabilities[name].risk})`,
  }));

function judgeReach({ egress, routes, read_buckets }: Differences): Reason[] {
  return [
    ...egress.added.map((host) => ({
      level: 'high' as const,
      text: host.startsWith('*.')
        ? `it could send what it knows to any host under ${host.slice(2)}`
        : `it could send what it knows to ${host}`,
    })),
    ...routes.added.map((route) => ({ level: 'medium' as const, text: `it would answer web requests for ${route}` })),
    ...read_buckets.added.map((bucket) => ({ level: 'medium' as const, text: `it could read the operator bucket ${bucket}` })),
  ];
}

function judgeServices({ services: { removed, changed } }: Differences): Reason[] {
  return [
    ...changed.flatMap(judgeMethod),
    ...removed.map((method) => ({ level: 'medium' as const, text: `callers of ${method} will find it gone` })),
  ];
}

function judgeMethod({ method, changes }: MethodChange): Reason[] {
  return changes.flatMap(({ field, from, to }): Reason[] => {
    if (field === 'scopes') return judgeScopes(method, scopesIn(from), scopesIn(to));
    if (field === 'params') return [{ level: 'medium', text: `callers of ${method} may have to send something else` }];
    if (field === 'result') return [{ level: 'low', text: `callers of ${method} may get something else` }];
    return field === 'effect' ? [judgeEffect(method, from, to)] : [];
  });
}

const scopesIn = (text: string): string[] => text.split(' ').filter((scope) => scope !== 'none');

/** Callers that were kept out and no longer are weigh more than callers that are newly kept out. */
function judgeScopes(method: string, from: readonly string[], to: readonly string[]): Reason[] {
  const asked = to.filter((scope) => !from.includes(scope));
  const dropped = asked.includes('plugin:admin') ? [] : from.filter((scope) => !to.includes(scope)); // an administrator's is more than any
  return [
    ...(dropped.length > 0 ? [{ level: 'high' as const, text: `${method} no longer asks its callers for ${dropped.join(' and ')}` }] : []),
    ...(asked.length > 0 ? [{ level: 'medium' as const, text: `callers of ${method} will need ${asked.join(' and ')}` }] : []),
  ];
}

const orderOf = (risk: string): number => (risks as readonly string[]).indexOf(risk);

function judgeEffect(method: string, from: string, to: string): Reason {
  const text = `${method} says its effect is ${to} instead of ${from}`;
  if (orderOf(to) < orderOf(from)) return { level: 'medium', text: `${text}, so that more tokens may call it` };
  return { level: to === 'host' ? 'high' : 'medium', text };
}

function judgeVersion({ version: { from, to, change } }: Differences): Reason[] {
  if (change === 'downgrade')
    return [
      { level: 'medium', text: `it is older: faults that ${from} mended may come back, and what ${from} stored may be strange to it` },
    ];
  if (change === 'same-version')
    return [{ level: 'medium', text: `its bytes are others and its version is ${to} as before: ask its publisher what changed` }];
  return change === 'unordered' ? [{ level: 'medium', text: `whether ${to} is newer than ${from} cannot be told` }] : [];
}

const judgeResources = ({ resources }: Differences): Reason[] =>
  resources
    .filter(({ from, to }) => to > from)
    .map(({ name, from, to }) => ({ level: 'low', text: `it asks for more ${name}: ${to} instead of ${from}` }));
