import type { Alert, State } from './state.ts';
import { codeOf, type Say, type Store } from './store.ts';

export type Send = (message: { channel: string; title: string; text: string; severity: 'warning' }) => Promise<unknown>;

const perCall = 10; // the host takes ten at once, then one a second
const closed: ReadonlySet<unknown> = new Set(['not-found', 'forbidden', 'capability-denied']);
const hopeless: ReadonlySet<unknown> = new Set(['invalid-params', 'payload-too-large']);

/**
 * Sends what is pending, oldest first, and takes each off the stored list when the host has it in its own outbox. A crash between the two
 * sends that one again, with the same reference. Answers how many are still pending; they go with the next call.
 */
export function createDelivery({ say }: { say: Say }) {
  let toldChannel: string | null = null; // once for each time it is missing, not for each batch

  async function sendOne(send: Send, channel: string, { ref, title, text }: Alert): Promise<boolean> {
    try {
      await send({ channel, title, text, severity: 'warning' });
      toldChannel = null;
      return true;
    } catch (error) {
      const code = codeOf(error);
      if (hopeless.has(code)) {
        await say('error', `the host refuses alert ${ref} for good (${code}); it is dropped`);
        return true; // else it would hold back every alert behind it
      }
      if (closed.has(code) && toldChannel !== channel) {
        toldChannel = channel;
        await say('warn', `the notification channel "${channel}" is not there or not open to this plugin; alerts wait until it is`);
      }
      return false;
    }
  }

  return async function deliver(
    store: Store,
    send: Send,
    config: { channel: string; sourcesPerUser: number },
    signal: AbortSignal,
  ): Promise<number> {
    for (let sent = 0; ; sent++) {
      const [alert, ...rest] = (await store.load()).state.pending;
      if (alert === undefined) return 0;
      if (sent === perCall || signal.aborted || !(await sendOne(send, config.channel, alert))) return rest.length + 1;
      await store.update(config.sourcesPerUser, async (state) => ({ state: without(state, alert.ref), answer: null }));
    }
  };
}

const without = (state: State, ref: string): State => ({ ...state, pending: state.pending.filter((alert) => alert.ref !== ref) });
