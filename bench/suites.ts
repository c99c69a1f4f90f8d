/** What a suite gives: the table that people read, and the same as data. */
export type Report = { table: string; figures: unknown };

/** `seconds`: what it took on two cores with nothing else at work; a busy machine takes several times that. */
type Suite = { what: string; seconds: number; load: () => Promise<{ measure(): Promise<Report> }> };

/** Loaded only when asked for; a new suite is one more row. */
export const suites: Readonly<Record<string, Suite>> = {
  rpc: { what: 'host calls of a plugin, against other ways to talk to a process', seconds: 31, load: () => import('./rpc.ts') },
  invoke: { what: 'calls to a plugin, against the same', seconds: 47, load: () => import('./invoke.ts') },
  store: { what: 'audit rows, and entries with their rows', seconds: 19, load: () => import('./store.ts') },
  rest: { what: 'calls over HTTP, against a bare Koa route', seconds: 9, load: () => import('./rest.ts') },
  verify: { what: 'verification of bundles, and what the API feels of it', seconds: 42, load: () => import('./verify.ts') },
  start: { what: 'children from spawn to ready', seconds: 17, load: () => import('./start.ts') },
  memory: { what: 'memory of the service and of 20 children', seconds: 12, load: () => import('./memory.ts') },
  scale: { what: '1 to 300 active plugins; needs 5 GiB and root', seconds: 55, load: () => import('./scale.ts') },
  supervision: { what: 'abuses: how soon they are noticed, what neighbours feel', seconds: 111, load: () => import('./supervision.ts') },
  hung: { what: 'plugins that stop answering', seconds: 71, load: () => import('./hung.ts') },
};

export const usage = (): string =>
  [
    'npm run bench                  all suites, one after the other',
    'npm run bench -- rpc invoke    some of them',
    '',
    'Tables go to standard output, progress to standard error, figures to bench/results/<suite>.json.',
    'Seconds are those of a quiet machine with two cores; a busy one takes several times that.',
    '',
    ...Object.entries(suites).map(([name, { what, seconds }]) => `  ${name.padEnd(12)}${String(seconds).padStart(4)} s  ${what}`),
    '',
  ].join('\n');
