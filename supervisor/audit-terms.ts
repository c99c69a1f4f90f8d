import { HostError } from '../protocol/errors.ts';

/** What a query of the audit can ask for; each narrows it further. */
export const auditTerms = ['plugin', 'kind', 'verdict', 'method', 'actor', 'code', 'rule', 'request_id', 'since', 'until'] as const;
export type AuditTerm = (typeof auditTerms)[number];

const mostCharacters = 2048;
const isTerm = (name: string): name is AuditTerm => auditTerms.some((term) => term === name);

function refuse(rule: string, message: string, hint: string): never {
  throw new HostError('invalid-params', message, { rule, pointer: '/q', hint });
}

/** Reads `plugin:example.hello verdict:deny since:2026-11-22`: terms with spaces between them, and no key twice. */
export function parseAuditTerms(text: string): Partial<Record<AuditTerm, string>> {
  if (text.length > mostCharacters) refuse('query-too-long', `a query has at most ${mostCharacters} characters`, 'ask for less at once');
  const found: Partial<Record<AuditTerm, string>> = {};
  for (const term of text.split(/\s+/).filter((part) => part !== '')) {
    const at = term.indexOf(':'); // the first: a time, or the id of a request, has more of them
    const shown = JSON.stringify(term.slice(0, 80));
    if (at < 1 || at === term.length - 1) refuse('term-form', `${shown} is no term`, 'write terms as key:value, like verdict:deny');
    const key = term.slice(0, at);
    if (!isTerm(key)) refuse('term-unknown', `${shown} has a key that is none`, `the keys are ${auditTerms.join(' ')}`);
    if (found[key] !== undefined) refuse('term-twice', `${key} stands twice`, 'each key narrows the query once; ask twice for two values');
    found[key] = term.slice(at + 1);
  }
  return found;
}

/** The terms of `q` beside the parameters that are named for them. */
export function expandAuditTerms(raw: unknown): unknown {
  if (typeof raw !== 'object' || raw === null || !('q' in raw)) return raw;
  const { q, ...named } = raw;
  if (typeof q !== 'string') return raw;
  const terms = parseAuditTerms(q);
  const twice = Object.keys(terms).find((key) => Object.hasOwn(named, key));
  if (twice !== undefined) refuse('term-twice', `${twice} stands in q and beside it`, 'say it once');
  return { ...named, ...terms };
}
