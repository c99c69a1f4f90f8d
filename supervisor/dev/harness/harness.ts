import { findPayloadFault } from '../../../protocol/check-payload.ts';
import { asHostError, HostError } from '../../../protocol/errors.ts';
import type { Manifest, ServiceMethod } from '../../../protocol/manifest-form.ts';
import type { AuditRow } from '../../audit.ts';
import { queryAudit } from '../../audit-query.ts';
import type { Dispatch, HostHandlers } from '../../broker.ts';
import { findMethod } from '../../call-scopes.ts';
import { checkCallPayload } from '../../check-call-payload.ts';
import { type Clock, createRealClock } from '../../clock.ts';
import type { LoadedBundle } from '../../loaded-bundle.ts';
import { codeOfFailedStart } from '../../run-record.ts';
import type { InvokeOptions } from '../../runner.ts';
import type { Armed } from '../../runtime.ts';
import { type Fault, parseFault } from '../faults/faults.ts';
import { requireKnownStep } from '../faults/known-steps.ts';
import type { Fixture } from '../fixture/fixture-schema.ts';
import { checkFixture } from '../fixture/read-fixture.ts';
import { asFailure, type HarnessEvent, type NewEvent } from './harness-events.ts';
import { createLivePlugin, type LivePlugin } from './live-plugin.ts';
import type { Captured } from './mock-handlers.ts';
import type { StoredEntry } from './mock-world.ts';
import { createRedactor, listSecrets, listStoredSecrets, type Redactor } from './redact.ts';
import { openSource } from './source-bundle.ts';
import { openWorkshop, type Workshop } from './workshop.ts';

export type HarnessOptions = {
  /** A folder with the sources of a plugin, or with a packed bundle. */
  folder: string;
  workshop?: Workshop;
  fixture?: Fixture;
  /** The operator's settings; they go over those of the fixture. */
  config?: Readonly<Record<string, unknown>>;
  /** Everything is granted and answered, and what was used is remembered. */
  grantAll?: boolean;
  faults?: readonly Fault[];
  /** The clock of the mocks: of delays, and of the times in records. */
  clock?: Clock;
  /** Tell of every message on the wire too. */
  messages?: boolean;
  onEvent?(event: HarnessEvent): void;
  /** Stands in for the world: handlers behind the broker, and what is around it; rates do not count then. */
  replaced?: { handlers: HostHandlers; around(dispatch: Dispatch): Dispatch };
  /** Each bundle that is started. */
  onBundle?(bundle: LoadedBundle): void;
  /** Each line both ways, as it was, for a recorder that takes out secrets itself. */
  onLine?(direction: 'in' | 'out', line: string): void;
};

const invokeTimeoutMs = 30_000; // of a method whose manifest states none, as in the service

/** Runs one plugin as the service would, caged, with the real broker; only the world behind the broker is made up. */
export async function openHarness(options: HarnessOptions) {
  const real = createRealClock();
  const openedAt = real.monotonicMs();
  const source = openSource(options.folder);
  let fixture = options.fixture ?? checkFixture({});
  const configOf = () => ({ ...fixture.config, ...options.config });
  const openRedactor = (): Redactor => {
    const stored = [fixture.kv ?? {}, ...Object.values(fixture.buckets ?? {})];
    return createRedactor([...listSecrets(configOf()), ...stored.flatMap(listStoredSecrets)]);
  };
  let redactor = openRedactor();
  const workshop = options.workshop ?? (await openWorkshop());
  let lastCall = 0;
  let lastHostCall = 0;
  let live: LivePlugin | null = null;
  let turn: Promise<unknown> = Promise.resolve();

  /** The one way out of here for whatever a plugin said, so that secrets are taken out in one place. */
  const tell = (event: NewEvent): void =>
    options.onEvent?.({ at: Math.round(real.monotonicMs() - openedAt), ...(redactor.redact(event) as NewEvent) }); // its own fields keep their form
  for (const text of workshop.warnings) tell({ kind: 'note', level: 'warn', text });

  /** An error as it may be shown. */
  const clean = (error: HostError): HostError =>
    new HostError(error.code, String(redactor.redact(error.message)), redactor.redact(error.details) as HostError['details'], {
      cause: error,
    }); // an object stays one

  async function build(): Promise<LoadedBundle> {
    const began = real.monotonicMs();
    const ms = () => Math.round(real.monotonicMs() - began);
    try {
      const bundle = await source.load();
      tell({ kind: 'build', ok: true, ms: ms(), detail: `${bundle.artifact.length} bytes`, running: live !== null });
      return bundle;
    } catch (thrown) {
      tell({ kind: 'build', ok: false, ms: ms(), detail: asHostError(thrown).message, running: live !== null });
      throw thrown;
    }
  }

  async function arm(): Promise<void> {
    const bundle = await build(); // a throw leaves what runs as it is
    if (live && live.id !== bundle.manifest.id) {
      await live.close();
      live = null;
    }
    if (!live) for (const fault of options.faults ?? []) requireKnownStep(fault, bundle.manifest);
    live ??= await createLivePlugin({ ...options, fixture, config: configOf(), clock: options.clock ?? real }, bundle, {
      workshop,
      learn: (secret) => redactor.learn(secret),
      tell,
      nextId: () => ++lastHostCall,
    });
    options.onBundle?.(bundle);
    const armed = await live.start(bundle);
    if (!armed.ok) throw clean(notStarted(armed, live.lastWords()));
  }

  /** Starts and stops follow each other, however often they are asked for. */
  function inTurn<T>(job: () => Promise<T>): Promise<T> {
    const result = turn.then(job);
    turn = result.catch(() => undefined);
    return result;
  }

  function plugin(): LivePlugin {
    if (live) return live;
    throw new HostError('unavailable', 'the plugin was not started', { hint: 'mend what the build says' });
  }

  async function call(service: string, method: string, payload: unknown = null, more: Partial<InvokeOptions> = {}): Promise<unknown> {
    const { manifest, runtime, advise } = plugin();
    const [id, name, began] = [++lastCall, `${service}.${method}`, real.monotonicMs()];
    tell({ kind: 'invoke', id, method: name, payload });
    const ms = () => real.monotonicMs() - began;
    const onProgress = (value: unknown) => {
      tell({ kind: 'progress', id, method: name, value });
      more.onProgress?.(value);
    };
    try {
      const asked = { id: manifest().id, service, method, payload };
      const row = findMethod(manifest(), asked);
      checkCallPayload(manifest(), row, asked);
      const result = await runtime.invoke(service, method, payload, { timeoutMs: row.timeout_ms ?? invokeTimeoutMs, ...more, onProgress });
      tell({ kind: 'answer', id, method: name, ms: ms(), outcome: { ok: true, result } });
      tellOddResult(name, row, result);
      return result;
    } catch (thrown) {
      const error = advise(asHostError(thrown));
      tell({ kind: 'answer', id, method: name, ms: ms(), outcome: { ok: false, error: asFailure(error) } });
      throw error;
    }
  }

  /** A server hands such a result on: what the method did is done. Its author wants to know. */
  function tellOddResult(name: string, row: ServiceMethod, result: unknown): void {
    const fault = row.result && findPayloadFault(row.result, result ?? null);
    if (!fault) return;
    const place = fault.message.replace(/^the payload/, 'it');
    tell({ kind: 'note', level: 'warn', text: `the result of ${name} is not what plugin.json declares: ${place}` });
  }

  return {
    folder: source.folder,
    form: source.form,
    level: workshop.runner.sandbox()?.level ?? 'none',
    /** Builds and starts the plugin. Throws when it cannot be built or is not ready; the last good one goes on when a later build fails. */
    start: () => inTurn(arm),
    /** The same with the sources as they are now. A new fixture makes a new world: what the plugin stored is gone. */
    reload: (next?: Fixture) =>
      inTurn(async () => {
        if (next) {
          await live?.close();
          live = null;
          fixture = next;
          redactor = openRedactor();
        }
        await arm();
      }),
    call,
    /** Stops the plugin; nothing of it is left. */
    stop: () =>
      inTurn(async () => {
        await live?.close();
        live = null;
      }),
    manifest: (): Manifest => plugin().manifest(),
    state: (): string => live?.runtime.state() ?? 'stopped',
    view: () => live?.runtime.view() ?? null,
    why: () => live?.runtime.why() ?? null,
    usage: () => live?.usage() ?? null,
    /** What it may use. */
    limits: () => live?.limits() ?? null,
    /** What it sent with notify.send. */
    notifications: (): readonly Captured[] => live?.world.notifications ?? [],
    /** What the buckets hold: the plugin's own is `plugin:<id>`. */
    kv: (): Promise<StoredEntry[]> => plugin().world.entries(),
    audit: (limit = 1000): Promise<AuditRow[]> => queryAudit(plugin().world.database.read, { limit }),
    /** What it has asked for so far; null unless everything is granted. */
    used: () => live?.used() ?? null,
    unusedFixtureLines: (): string[] => live?.world.matcher.unused() ?? [],
    /** The next host call waits until `resume`. */
    pause: () => plugin().gate.close(),
    resume: () => plugin().gate.open(),
    isPaused: (): boolean => live?.gate.isClosed() ?? false,
    /** From now on; `times` of its occurrences. */
    inject(asked: string | Fault): void {
      const fault = typeof asked === 'string' ? parseFault(asked) : asked;
      requireKnownStep(fault, plugin().manifest());
      plugin().inject(fault);
    },
    /** Takes out what looks like a secret, and the secrets of the settings. */
    redact: (value: unknown): unknown => redactor.redact(value),
    clean,
    tell,
  };
}

export type Harness = Awaited<ReturnType<typeof openHarness>>;

function notStarted({ cause, message }: Extract<Armed, { ok: false }>, lastWords: readonly string[]): HostError {
  const code = codeOfFailedStart(cause) === 'sandbox-unavailable' ? 'sandbox-unavailable' : 'plugin-crashed';
  return new HostError(code, `the plugin did not start: ${message}`, {
    rule: cause,
    stderr: lastWords,
    hint: lastWords.find((line) => line.trim() !== '') ?? 'look at its log',
  });
}
