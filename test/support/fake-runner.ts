import type { Dispatch } from '../../supervisor/broker.ts';
import type { Exit, Launch, Run, RunEvents, Runner } from '../../supervisor/runner.ts';

export type FakeRun = Run & {
  launch: Launch;
  dispatch: Dispatch;
  events: RunEvents;
  log: string[];
  answerPing: boolean;
  answerShutdown: boolean;
  exit(exit?: Partial<Exit>): void;
};
export type FakeRunner = Runner & { runs: FakeRun[]; failWith: unknown; last(): FakeRun };

/** A runner whose children are played by the test. */
export function createFakeRunner(): FakeRunner {
  const runs: FakeRun[] = [];
  const runner: FakeRunner = {
    name: 'fake',
    sandbox: () => null,
    waiting: () => null,
    close: async () => {},
    runs,
    failWith: null,
    last() {
      const run = runs.at(-1);
      if (!run) throw new Error('nothing was started');
      return run;
    },
    async start(launch, dispatch, events) {
      if (runner.failWith) throw runner.failWith;
      const log: string[] = [];
      const run: FakeRun = {
        launch,
        dispatch,
        events,
        log,
        answerPing: true,
        answerShutdown: true,
        pid: 4242,
        sandbox: 'none',
        limitsNotEnforced: [],
        invoke: async (service, method, payload) => ({ service, method, payload }),
        ping() {
          log.push('ping');
          return run.answerPing ? Promise.resolve({}) : Promise.reject(new Error('no answer'));
        },
        shutdown() {
          log.push('shutdown');
          return run.answerShutdown ? Promise.resolve({}) : new Promise(() => {});
        },
        terminate: () => void log.push('terminate'),
        kill: () => void log.push('kill'),
        counters: () => ({}),
        exit: (exit = {}) => events.exited({ cause: 'exit-code', code: 1, signal: null, detail: '', ...exit }),
      };
      runs.push(run);
      return run;
    },
  };
  return runner;
}
