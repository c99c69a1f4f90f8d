import { hash } from 'node:crypto';
import type { Test } from 'tap';
import { capabilityNames } from '../../protocol/capabilities.ts';
import { HostError } from '../../protocol/errors.ts';
import { hostMethods } from '../../protocol/host-methods.ts';
import type { AuditEntry } from '../../supervisor/audit.ts';
import { createBroker, type HostHandlers } from '../../supervisor/broker.ts';
import { type Clock, createRealClock } from '../../supervisor/clock.ts';
import type { Health } from '../../supervisor/plugin-store.ts';
import type { Launch, Run, RunEvents, Runner } from '../../supervisor/runner.ts';
import { loadRunnerBundle } from '../../supervisor/runner-bundle.ts';
import { createSubprocessRunner, type SubprocessDeps } from '../../supervisor/runner-subprocess.ts';
import { createRuntime } from '../../supervisor/runtime.ts';
import type { State } from '../../supervisor/runtime-states.ts';
import type { Level } from '../../supervisor/sandbox/levels.ts';
import { createPipeMaker } from '../../supervisor/sandbox/response-pipe.ts';
import { describeOwnNode, findTools } from '../../supervisor/sandbox/tools.ts';
import { createUidPool, type UidPool } from '../../supervisor/sandbox/uids.ts';
import { createTestLaunch } from './launch.ts';
import { createQuietLog } from './quiet-log.ts';
import { whyNot } from './sandbox-session.ts';

export type RealOptions = {
  id?: string;
  artifact: string | Buffer; // JS text, or the bytes of a static executable
  launch?: Partial<Launch>;
  handlers?: Partial<HostHandlers>;
  clock?: Clock; // the runtime's alone: its deadlines, pings and backoff
  runnerClock?: Clock; // of the deadlines of single calls; real unless a test is about one
  health?: Partial<Health>;
  interpose?: RunEvents['interpose']; // stands between the two ends of each child
};
type Output = { generation: number; source: string; text: string };

/** Finds once what all children of a test file need. Without bwrap they run at `restricted`, where only JS does. */
export async function openWorkshop(forced?: Level, pool: () => UidPool = createUidPool, replaced: Partial<SubprocessDeps> = {}) {
  const tools = await findTools(describeOwnNode());
  const isRoot = process.getuid?.() === 0;
  const level: Level = forced ?? (whyNot(isRoot ? 'root' : 'plain user', 'bwrap') === false ? 'isolated' : 'restricted');
  const [runnerBundle, uids] = [await loadRunnerBundle(), isRoot ? pool() : null];
  const createRunner = (clock: Clock): Runner =>
    createSubprocessRunner({
      tools: () => tools,
      pipes: createPipeMaker(() => tools.shell),
      runnerBundle,
      uids,
      createLeaf: null,
      suspectSandbox: () => {},
      sandbox: () => ({ level, minimum: level, layers: [] }),
      chooseLevel: async () => ({ level, disableUserns: true }),
      warmChildren: 0,
      callTimeoutMs: 30_000,
      clock,
      ...replaced,
    });
  return {
    level,
    /** A runtime on the real runner, gone with its children when the test ends. */
    open(t: Pick<Test, 'teardown'>, options: RealOptions) {
      const real = openRuntime(createRunner(options.runnerClock ?? createRealClock()), options);
      t.teardown(real.close);
      return real;
    },
  };
}

export type Workshop = Awaited<ReturnType<typeof openWorkshop>>;
export type RealRuntime = ReturnType<typeof openRuntime>;

/** Everything that happens is written down, and can be waited for. */
function openRuntime(runner: Runner, options: RealOptions) {
  const { id = 'example.test', clock = createRealClock() } = options;
  const audit: AuditEntry[] = [];
  const outputs: Output[] = [];
  const entered: State[] = [];
  const saved: Health[] = [];
  const started: { run: Run; ended: Promise<void> }[] = [];
  const waiting = new Set<() => void>();
  const wake = () => {
    for (const look of [...waiting]) look();
  };
  const launchOf = (generation: number): Launch => {
    const artifact = Buffer.from(options.artifact); // of this generation alone, as the service reads it anew for each start
    return createTestLaunch(generation, {
      plugin: { id, name: 'Test', version: '1.0.0' },
      engine: typeof options.artifact === 'string' ? 'node' : 'native',
      artifact,
      artifactSha256: hash('sha256', artifact),
      grant: { pluginId: id, capabilities: new Set(capabilityNames), egress: ['*'], readBuckets: [] },
      ...options.launch,
    });
  };
  const append = async (entry: AuditEntry): Promise<void> => {
    audit.push(entry);
    wake();
  };
  const unlimited = { take: () => true, waitMs: () => 0 };
  const quiet = createQuietLog();
  let generation = options.health?.generation ?? 0;

  const watched: Runner = {
    name: runner.name,
    sandbox: runner.sandbox,
    waiting: runner.waiting,
    close: runner.close,
    async start(launch, dispatch, events) {
      const ended = Promise.withResolvers<void>();
      const run = await runner.start(launch, dispatch, {
        ...events,
        ...(options.interpose ? { interpose: options.interpose } : {}),
        exited(exit) {
          events.exited(exit);
          ended.resolve();
        },
      });
      started.push({ run, ended: ended.promise });
      return run;
    },
  };
  const runtime = createRuntime({
    id,
    runner: watched,
    clock,
    random: () => 0.5,
    log: {
      ...quiet,
      info(event, fields) {
        quiet.info(event, fields);
        if (event === 'plugin.runtime') entered.push(fields?.to as State); // the runtime's own word
        wake();
      },
    },
    health: { exits: [], crashTimesMs: [], broken: false, generation, ...options.health },
    saveHealth: async (health) => void saved.push(health),
    nextGeneration: async () => ++generation,
    prepare: async (of) => launchOf(of),
    createDispatch: (launch, askable) =>
      createBroker({
        grant: launch.grant,
        generation: launch.generation,
        askable,
        actor: () => null,
        handlers: { ...createMemoryHandlers(append), ...options.handlers },
        rates: Object.fromEntries(Object.values(hostMethods).map(({ rate }) => [rate, unlimited])) as never, // every class that a method names
        append,
        appendDenial: (entry) => void append(entry),
        clock: createRealClock(),
      }),
    append,
    onOutput(of, source, text) {
      outputs.push({ generation: of, source, text });
      wake();
    },
  });

  /** Rejects, with what the child said last, when the runtime gave up: then nothing more comes that could be waited for. */
  function until(holds: () => boolean, hasGivenUp: () => boolean = () => false): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (!holds() && !hasGivenUp()) return;
        waiting.delete(look);
        if (holds()) resolve();
        else reject(new Error(`${id} gave up: ${tellLastExit()}`));
      };
      waiting.add(look);
      look();
    });
  }

  const tellLastExit = (): string => JSON.stringify(runtime.why().exits[0] ?? runtime.view().message);

  /** Until it is ready; how it ended when it is not. */
  async function arm(): Promise<void> {
    const armed = await runtime.arm();
    if (!armed.ok) throw new Error(`${id} was not armed: ${armed.message}, ${tellLastExit()}`);
  }

  return {
    runtime,
    arm,
    audit,
    outputs,
    entered,
    saved,
    log: quiet,
    started,
    append,
    wake,
    until,
    /** The process group's own view of the running generation. */
    run(): Run {
      const last = started.at(-1);
      if (!last) throw new Error('nothing was started');
      return last.run;
    },
    /** Of a child that runs: to signal 0 would hit the whole group of the test. */
    pid(): number {
      const pid = started.at(-1)?.run.pid ?? 0;
      if (pid <= 1) throw new Error(`no child runs: ${runtime.state()}, ${runtime.view().message}`);
      return pid;
    },
    invoke: (method: string, payload: unknown = null, timeoutMs = 60_000) => runtime.invoke('tool', method, payload, { timeoutMs }),
    /** Resolves when a state is entered that was not before `mark`. */
    reached: (state: State, mark = entered.length) =>
      until(
        () => entered.slice(mark).includes(state),
        () => entered.slice(mark).includes('failed'),
      ),
    heard: (text: string, count = 1) => until(() => outputs.filter((row) => row.text.includes(text)).length >= count),
    decisions: () => audit.filter(({ kind }) => kind === 'host.decision'),
    lastExit: () => runtime.why().exits[0],
    async close(): Promise<void> {
      runtime.command('stop');
      for (const { run } of started) run.kill();
      await Promise.all(started.map(({ ended }) => ended));
      await runner.close();
    },
  };
}

/** The plugin's own store in memory, with the decision row written as the real one does. */
function createMemoryHandlers(append: (entry: AuditEntry) => Promise<void>): HostHandlers {
  const store = new Map<string, { value: string; revision: number }>();
  const unavailable = async (): Promise<never> => {
    throw new HostError('unavailable', 'not in this test');
  };
  return {
    'kv.get': async ({ key }) => store.get(key) ?? { value: null, revision: 0 },
    'kv.list': unavailable,
    async 'kv.put'({ key, value }, { entry }) {
      await append(entry);
      const revision = (store.get(key)?.revision ?? 0) + 1;
      store.set(key, { value, revision });
      return { revision };
    },
    async 'kv.delete'({ key }, { entry }) {
      await append(entry);
      return { deleted: store.delete(key) };
    },
    'log.write': async () => ({}),
    'http.fetch': unavailable,
    'notify.send': unavailable,
    'audit.query': unavailable,
  };
}
