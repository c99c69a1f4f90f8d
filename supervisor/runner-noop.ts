import { HostError } from '../protocol/errors.ts';
import type { Run, Runner } from './runner.ts';

/**
 * Runs no artifact code. It holds the same grant, deadline and broker as any other run, so that the whole lifecycle can be tried on a machine
 * that must not run plugins: it arms, answers pings, and refuses invocations.
 */
export const createNoopRunner = (): Runner => ({
  name: 'noop',
  sandbox: () => null,
  waiting: () => null,
  close: async () => {},
  async start(_launch, _dispatch, events): Promise<Run> {
    let ended = false;
    function end(): void {
      if (ended) return;
      ended = true;
      events.exited({ cause: 'stopped', code: 0, signal: null, detail: 'noop' });
    }
    queueMicrotask(() => ended || events.ready());
    return {
      pid: null,
      sandbox: 'none',
      limitsNotEnforced: [],
      invoke: async () => {
        throw new HostError('unavailable', 'the noop runner executes no plugin code', {
          hint: 'start the service with LATTICE_RUNNER=subprocess',
        });
      },
      ping: async () => ({}),
      shutdown: async () => ({}),
      terminate: () => queueMicrotask(end),
      kill: () => queueMicrotask(end),
      counters: () => ({}),
    };
  },
});
