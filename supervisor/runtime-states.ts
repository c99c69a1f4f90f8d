export const states = ['stopped', 'starting', 'ready', 'draining', 'terminating', 'killing', 'backoff', 'failed'] as const;
export type State = (typeof states)[number];
export const commands = ['start', 'restart', 'stop'] as const;
export type Command = (typeof commands)[number];
export const facts = ['ready', 'pong', 'drained', 'timeout', 'violated', 'exited', 'crashed', 'exhausted', 'fatal'] as const;
export type Fact = (typeof facts)[number];
export type Effect = 'spawn' | 'sendShutdown' | 'revokeGrant' | 'sendTerm' | 'sendKill' | 'clearCrashes' | 'reportUnkillable';
export type Cell = { enter: State; effects: readonly Effect[] } | 'keep';

const to = (enter: State, ...effects: Effect[]): Cell => ({ enter, effects });
const spawn = to('starting', 'spawn');
const afresh = to('starting', 'clearCrashes', 'spawn');
const terminate = to('terminating', 'revokeGrant', 'sendTerm');
const kill = to('killing', 'revokeGrant', 'sendKill');
const drain = to('draining', 'sendShutdown');
const gone = {
  exited: to('stopped', 'revokeGrant'),
  crashed: to('backoff', 'revokeGrant'),
  exhausted: to('failed', 'revokeGrant'),
  fatal: to('failed', 'revokeGrant'),
};

/**
 * What a runtime does next. Every state answers every command, the type insists; `keep` on a command only stores what is wanted, to be acted
 * on when the child has gone. A fact without a cell came too late and is dropped. `timeout` is the deadline that the state armed.
 */
export const table: Record<State, Record<Command, Cell> & Partial<Record<Fact, Cell>>> = {
  stopped: { start: spawn, restart: spawn, stop: 'keep' },
  starting: { start: 'keep', restart: 'keep', stop: terminate, ready: to('ready'), timeout: terminate, violated: kill, ...gone },
  ready: { start: 'keep', restart: drain, stop: drain, pong: to('ready'), timeout: terminate, violated: kill, ...gone },
  draining: { start: 'keep', restart: 'keep', stop: 'keep', drained: terminate, timeout: terminate, violated: kill, ...gone },
  terminating: { start: 'keep', restart: 'keep', stop: 'keep', timeout: kill, violated: kill, ...gone },
  killing: { start: 'keep', restart: 'keep', stop: 'keep', timeout: to('failed', 'reportUnkillable'), ...gone },
  backoff: { start: spawn, restart: spawn, stop: to('stopped'), timeout: spawn },
  failed: { start: afresh, restart: afresh, stop: to('stopped') },
};

export const step = (state: State, event: Command | Fact): Cell | 'drop' => table[state][event] ?? 'drop';

export type PublicState = 'stopped' | 'starting' | 'armed' | 'restarting' | 'stopping' | 'failed';

/** What the API calls each state. */
export const publicStates: Readonly<Record<State, PublicState>> = {
  stopped: 'stopped',
  starting: 'starting',
  ready: 'armed',
  draining: 'stopping',
  terminating: 'stopping',
  killing: 'stopping',
  backoff: 'restarting',
  failed: 'failed',
};

/** What the broker lets a child ask in each state: everything, only its own store and log, or nothing. */
export const askable: Readonly<Record<State, 'all' | 'own' | 'none'>> = {
  stopped: 'none',
  starting: 'none',
  ready: 'all',
  draining: 'own',
  terminating: 'none',
  killing: 'none',
  backoff: 'none',
  failed: 'none',
};

export const pingEveryMs = 10_000;
/** The deadline each state arms; backoff's comes from the restart policy. A stop takes at most drain + grace + kill = 5 s. */
export const deadlinesMs: Readonly<Partial<Record<State, number>>> = {
  starting: 10_000,
  ready: 3 * pingEveryMs + 3_000, // three pings unanswered, the last for its 3 s
  draining: 2_000,
  terminating: 2_000,
  killing: 1_000,
};
