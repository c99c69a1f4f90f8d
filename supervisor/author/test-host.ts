import type { Fixture, FixtureInput } from '../dev/fixture/fixture-schema.ts';
import { checkFixture } from '../dev/fixture/read-fixture.ts';
import { openHarness } from '../dev/harness/harness.ts';
import type { HarnessEvent } from '../dev/harness/harness-events.ts';

export type TestHostOptions = {
  /** The operator's settings: `context.config`. */
  config?: Readonly<Record<string, unknown>>;
  /** How the world answers: what the store holds, recorded responses, failing calls. The same as in a fixture file. */
  fixture?: FixtureInput;
};
export type TestCallOptions = { timeoutMs?: number; signal?: AbortSignal; onProgress?: (value: unknown) => void };
export type TestHostCall = { method: string; params: unknown; verdict: 'allow' | 'deny'; code: string | null };
export type TestNotification = { channel: string; title: string; text: string; severity: string };

type Callable = { readonly services?: Readonly<Record<string, Readonly<Record<string, (...given: never[]) => unknown>>>> };
type Services<P extends Callable> = NonNullable<P['services']>;
/** `service.method` of a plugin whose type is given; any text of that form otherwise. */
export type MethodName<P extends Callable> = {
  [S in keyof Services<P> & string]: `${S}.${keyof Services<P>[S] & string}`;
}[keyof Services<P> & string];
export type Answer<P extends Callable, N> = N extends `${infer S}.${infer M}`
  ? Services<P>[S][M] extends (...given: never[]) => infer R
    ? string extends keyof Services<P>
      ? unknown
      : Awaited<R>
    : unknown
  : unknown;

/** A plugin that runs, caged as on a server, in a world made up for the test. */
export type TestHost<P extends Callable = Callable> = {
  /** Calls a method as `lattice plugins call` does; rejects with an error that has the `code` a caller would get. */
  call<N extends MethodName<P>>(name: N, payload?: unknown, options?: TestCallOptions): Promise<Answer<P, N>>;
  /** What the plugin's own store holds, by key. */
  kv(): Promise<Record<string, string>>;
  /** What it wrote with log.write and to standard error, oldest first. */
  log(): string[];
  notifications(): readonly TestNotification[];
  /** Each host call so far, with the broker's verdict. */
  hostCalls(): TestHostCall[];
  /** Stops the plugin and starts it anew; the store stays. */
  restart(): Promise<void>;
  /** Stops the plugin; nothing of it is left. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

/**
 * Builds and starts the plugin in this folder. Broker, sandbox and runner are the service's own, only what is behind the host calls is made
 * up. Rejects when the plugin does not build or start.
 */
export async function createTestHost<P extends Callable = Callable>(folder: string, options: TestHostOptions = {}): Promise<TestHost<P>> {
  const events: HarnessEvent[] = [];
  const fixture: Fixture | undefined = options.fixture && checkFixture(options.fixture);
  const harness = await openHarness({
    folder,
    ...(fixture ? { fixture } : {}),
    ...(options.config ? { config: options.config } : {}),
    onEvent: (event) => void events.push(event),
  });
  try {
    await harness.start();
  } catch (error) {
    await harness.stop();
    if (error instanceof Error) error.stack = `${error.name}: ${error.message}`; // where we found it is of no use to who wrote the plugin
    throw error;
  }
  const close = () => harness.stop();
  return {
    async call(name, payload = null, callOptions = {}) {
      const [service = '', method = ''] = name.split('.');
      return (await harness.call(service, method, payload, callOptions)) as never; // as the plugin's own type says; the wire knows none
    },
    async kv() {
      const own = `plugin:${harness.manifest().id}`;
      const entries = (await harness.kv()).filter(({ bucket }) => bucket === own);
      return Object.fromEntries(entries.map(({ key, value }) => [key, value]));
    },
    log: () => events.flatMap((event) => (event.kind === 'log' && event.source !== 'supervisor' ? [event.text] : [])),
    notifications: () => harness.notifications(),
    hostCalls: () =>
      events.flatMap((event) =>
        event.kind === 'host-answer'
          ? [
              {
                method: event.method,
                params: event.params,
                verdict: event.verdict,
                code: event.outcome.ok ? null : event.outcome.error.code,
              },
            ]
          : [],
      ),
    async restart() {
      await harness.reload();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
