import { hostMethods } from '../../../protocol/host-methods.ts';
import type { Manifest } from '../../../protocol/manifest-form.ts';
import { parseJson } from '../../../protocol/parse-json.ts';
import { type Askable, type BrokerDeps, createBroker, type Dispatch, type RateLimiters } from '../../broker.ts';
import { type Clock, createRealClock } from '../../clock.ts';
import { createLaunch } from '../../launch-plugin.ts';
import type { LoadedBundle } from '../../loaded-bundle.ts';
import type { Log } from '../../log.ts';
import { createRateLimiter, type RateLimiter } from '../../rate-limiter.ts';
import type { Launch, Runner } from '../../runner.ts';
import { createRuntime } from '../../runtime.ts';
import { createFaultDecider } from '../faults/faults.ts';
import type { Fixture } from '../fixture/fixture-schema.ts';
import { createAdvice } from './author-hints.ts';
import { explainDenial } from './explain-denial.ts';
import { createGate } from './gate.ts';
import type { HarnessOptions } from './harness.ts';
import type { Failure, NewEvent } from './harness-events.ts';
import { interpose } from './interposer.ts';
import { createMockWorld, policy } from './mock-world.ts';
import { readUsage } from './usage.ts';
import { createCallWatch } from './watch-calls.ts';
import { createWideGrant } from './wide-grant.ts';
import type { Workshop } from './workshop.ts';

type Settings = Pick<HarnessOptions, 'grantAll' | 'faults' | 'messages' | 'onLine' | 'replaced'> & {
  fixture: Fixture;
  config: Readonly<Record<string, unknown>>;
  clock: Clock;
};
type Surroundings = { workshop: Workshop; learn(secret: unknown): void; tell(event: NewEvent): void; nextId(): number };

/** One plugin on the service's own runtime, runner and broker, and the made-up world it asks. */
export async function createLivePlugin(settings: Settings, first: LoadedBundle, { workshop, learn, tell, nextId }: Surroundings) {
  const real = createRealClock();
  const { id } = first.manifest;
  const log = createHarnessLog(tell);
  const gate = createGate();
  const wide = settings.grantAll ? createWideGrant(id, first.manifest.type) : null;
  let bundle = first;
  const explain = (failure: Failure, params: unknown) => explainDenial(failure, bundle.manifest, params);
  const advice = createAdvice(() => bundle.manifest);
  const calls = createCallWatch({ clock: real, learn, tell, nextId, gate: gate.wait, explain, advise: advice.ofHostCall });
  const faults = createFaultDecider(settings.faults ?? [], (fault, step) => tell({ kind: 'fault', fault, step }));
  const world = await createMockWorld({
    pluginId: id,
    fixture: settings.fixture,
    clock: settings.clock,
    log,
    mockEverything: settings.grantAll === true,
    onRedirect: (from, location) => wide?.allowRedirect(from, location),
    onLog: (level, text) => tell({ kind: 'log', source: 'plugin', level, text }),
    onNotification: ({ id: _id, ...captured }) => tell({ kind: 'notification', ...captured }),
    onFixtureAnswer: calls.answeredByFixture,
  });
  const rates = createRates(real, settings.replaced !== undefined);
  let generation = 0;
  let lastWords: string[] = [];

  function onLine(direction: 'in' | 'out', line: string): void {
    settings.onLine?.(direction, line);
    if (settings.messages) tell({ kind: 'message', direction, message: readMessage(line), bytes: Buffer.byteLength(line) });
  }

  const runner: Runner = {
    ...workshop.runner,
    start: (launch, dispatch, events) =>
      workshop.runner.start(launch, dispatch, {
        ...events,
        interpose: (wire) => interpose(wire, { onLine, decide: faults.decide, clock: real }),
      }),
  };

  const createDispatch = (launch: Launch, askable: () => Askable): Dispatch => {
    const deps: BrokerDeps = {
      grant: launch.grant,
      generation: launch.generation,
      askable,
      actor: () => null,
      handlers: settings.replaced?.handlers ?? world.handlers,
      rates,
      append: world.database.append,
      appendDenial(entry) {
        calls.appendDenial();
        void world.database.append(entry);
      },
      clock: real,
    };
    const broker = createBroker(deps);
    const dispatch = settings.replaced?.around(broker) ?? broker;
    return calls.watch(wide ? wide.widening(dispatch) : dispatch);
  };

  const runtime = createRuntime({
    id,
    runner,
    clock: real,
    log,
    random: Math.random,
    health: { exits: [], crashTimesMs: [], broken: false, generation: 0 },
    saveHealth: async () => {},
    nextGeneration: async () => ++generation,
    async prepare(of) {
      lastWords = [];
      const launch = createLaunch(bundle, of, settings.config, policy.ceilings, []);
      return wide ? { ...launch, grant: wide.grant } : launch;
    },
    createDispatch,
    append: world.database.append,
    onOutput(_generation, from, text) {
      if (from === 'stderr') lastWords = [...lastWords, text].slice(-20);
      tell({ kind: 'log', source: from, level: from === 'stderr' ? 'info' : 'warn', text });
    },
  });

  return {
    id,
    world,
    gate,
    runtime,
    inject: faults.add,
    advise: advice.ofCall,
    manifest: (): Manifest => bundle.manifest,
    used: () => wide?.used() ?? null,
    lastWords: (): readonly string[] => lastWords,
    usage: () => readUsage(runtime.view().pid),
    limits: () => createLaunch(bundle, generation, settings.config, policy.ceilings, []).resources,
    start(next: LoadedBundle) {
      bundle = next;
      return runtime.arm();
    },
    async close(): Promise<void> {
      gate.open();
      await runtime.close();
      await world.database.close();
    },
  };
}

export type LivePlugin = Awaited<ReturnType<typeof createLivePlugin>>;

/** The runtime tells of its states in the service's log; here they are events. */
function createHarnessLog(tell: (event: NewEvent) => void): Log {
  const problem = (event: string, fields: Record<string, unknown> = {}) =>
    tell({ kind: 'note', level: 'warn', text: `${event} ${JSON.stringify(fields)}` });
  return {
    debug: () => {},
    info(event, { from, to, generation, message } = {}) {
      if (event !== 'plugin.runtime') return;
      tell({
        kind: 'state',
        from: String(from),
        to: String(to),
        generation: typeof generation === 'number' ? generation : null,
        message: typeof message === 'string' ? message : null,
      });
    },
    warn: problem,
    error: problem,
  };
}

const unlimited: RateLimiter = { take: () => true, waitMs: () => 0 };

const createRates = (clock: Clock, isUnlimited: boolean): RateLimiters =>
  Object.fromEntries(
    Object.values(hostMethods).map(({ rate }) => [
      rate,
      isUnlimited ? unlimited : createRateLimiter(policy.rates[rate], clock.monotonicMs),
    ]),
  ) as RateLimiters; // every class that a method names

function readMessage(line: string): unknown {
  try {
    return parseJson(line) as unknown;
  } catch {
    return line; // no message: what the plugin printed to stdout
  }
}
