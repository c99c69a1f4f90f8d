import { availableParallelism } from 'node:os';
import { childMethods } from '../protocol/child-methods.ts';
import { asHostError, HostError } from '../protocol/errors.ts';
import { createPeer } from '../protocol/peer.ts';
import { readWithin } from '../protocol/reading.ts';
import { acceptedVersions, protocolVersion, wireLimits } from '../protocol/version.ts';
import { childShare, createWorkMeter, type WorkShare } from '../protocol/work.ts';
import { type CagedChild, spawnCaged } from './caged-child.ts';
import type { Clock, Timer } from './clock.ts';
import { describeInitialize } from './describe-initialize.ts';
import { createOutputLines } from './output-lines.ts';
import type { CageRequest } from './plan-child.ts';
import type { SandboxView } from './plugin-view.ts';
import { stderrKept } from './run-record.ts';
import type { Exit, Launch, Run, RunEvents, Runner } from './runner.ts';
import type { Cell, CellDeps } from './sandbox/cell.ts';
import { nameGenerationCell } from './sandbox/cell-names.ts';
import { createDescriptorList } from './sandbox/descriptors.ts';
import { lastWordsMs, waitForEnd, waitForLastWords } from './sandbox/last-words.ts';
import type { Level } from './sandbox/levels.ts';
import type { PipeMaker } from './sandbox/response-pipe.ts';
import type { Tools } from './sandbox/tools.ts';
import { createPing } from './sign-of-life.ts';
import { createStartGate } from './start-gate.ts';
import { startStdioJson } from './stdio-json/start-stdio-json.ts';
import { createWarmPool, titleOf, type WarmPool } from './warm-pool.ts';

export type SubprocessDeps = CellDeps & {
  pipes: PipeMaker; // for stdio-json-v1: one for each action
  tools(): Tools; // those that the last probe found
  runnerBundle: Buffer;
  /** The level this plugin runs at; throws HostError `sandbox-unavailable` when too little is available. */
  chooseLevel(engine: 'node' | 'native', hostRisk: boolean): Promise<{ level: Level; disableUserns: boolean }>;
  sandbox(): SandboxView;
  /** The sandbox could not be set up although the probe had found it whole: it is tried again before the next start. */
  suspectSandbox(): void;
  /** How many children wait for a plugin, made in advance; 0 for none. */
  warmChildren: number;
  callTimeoutMs: number;
  share?: WorkShare; // of this event loop, for each child
  clock: Clock;
};

export type RunnerDeps = SubprocessDeps & { openDescriptors(): readonly number[] };

const output = { lineBytes: 8192, bytesPerSecond: 256 * 1024, linesPerSecond: 1000 } as const;
const writeStalledMs = 10_000;

// Two for each core keep all of them busy. A start takes a tenth of a second; whoever takes ten times that waits for something else.
const starts = { most: Math.max(4, 2 * availableParallelism()), holdMostMs: 1_000 } as const;

/** Runs a plugin as a caged child process that speaks JSON-RPC over its stdio, or with one for each action where its bundle is of that form. */
export function createSubprocessRunner(parts: SubprocessDeps): Runner {
  const deps: RunnerDeps = { ...parts, openDescriptors: createDescriptorList(parts.clock) };
  const gate = createStartGate({ ...starts, timers: deps.clock });
  const pool = createWarmPool({
    size: deps.warmChildren,
    spawn: (request) => spawnCaged(deps, request),
    timers: deps.clock,
    onLost: ({ cause }) => cause === 'sandbox-failed' && deps.suspectSandbox(),
  });
  return {
    name: 'subprocess',
    sandbox: deps.sandbox,
    waiting: () => ({ now: pool.waiting(), asked: deps.warmChildren }),
    close: pool.close,
    async start(launch, dispatch, events): Promise<Run> {
      if (launch.wire === 'stdio-json-v1') return startStdioJson(deps, launch, dispatch, events);
      const { engine } = launch;
      if (engine !== 'node' && engine !== 'native')
        throw new HostError('sandbox-unavailable', `this service has no runner for engine ${engine}`, {
          hint: 'only node and native plugins run here',
        });
      const leave = await gate.enter();
      try {
        return await startChild(deps, pool, { launch, engine, leave }, dispatch, events);
      } catch (error) {
        leave();
        throw error;
      }
    },
  };
}

type Admitted = { launch: Launch; engine: 'node' | 'native'; leave(): void };

async function startChild(
  deps: RunnerDeps,
  pool: WarmPool,
  { launch, engine, leave }: Admitted,
  dispatch: Parameters<Runner['start']>[1],
  events: RunEvents,
): Promise<Run> {
  const { level, disableUserns } = await deps.chooseLevel(engine, launch.hostRisk);
  const { cpu_percent: cpuPercent } = launch.resources;
  const profile = { level, disableUserns, tools: deps.tools() };
  const caged = pool.take(profile, launch) ?? (await spawnCaged(deps, describeCage(launch, engine, profile)));
  return connectChild(deps, { launch, caged }, dispatch, tendCell(deps, { cell: caged.cell, leave, cpuPercent }, events));
}

function describeCage(
  { plugin, generation, resources, artifact, artifactSha256 }: Launch,
  engine: Admitted['engine'],
  { level, disableUserns }: { level: Level; disableUserns: boolean },
): CageRequest {
  const program = engine === 'native' ? { engine, artifact } : { engine, artifact, artifactSha256, title: titleOf(plugin.id) };
  return { name: nameGenerationCell(plugin.id, generation), level, disableUserns, resources, program };
}

type Tended = { cell: Cell; leave(): void; cpuPercent: number };

/** A function of its own: what lives as long as the child must not hold the launch, which may have an artifact of 64 MiB. */
const tendCell = (deps: SubprocessDeps, { cell, leave, cpuPercent }: Tended, events: RunEvents): RunEvents => ({
  ...events,
  ready() {
    leave();
    void cell.leaf?.limitCpu(cpuPercent).catch(() => {}); // its processes have ended
    events.ready();
  },
  exited(exit) {
    leave();
    if (exit.cause === 'sandbox-failed') deps.suspectSandbox();
    void cell.close(exit).then(events.exited);
  },
});

type Connected = { launch: Launch; caged: CagedChild };

function connectChild(deps: RunnerDeps, start: Connected, dispatch: Parameters<Runner['start']>[1], events: RunEvents): Run {
  const { id } = start.launch.plugin;
  const { level, limitsNotEnforced, child, contained, onExit } = start.caged;
  let strays = 0;
  const stderrOf = { outOfMemory: false }; // V8 says so before it aborts
  const hearOf = (text: string) => {
    stderrOf.outOfMemory ||= /^FATAL ERROR: .*out of memory/i.test(text);
  };
  const stderr = createOutputLines({
    ...output,
    monotonicMs: deps.clock.monotonicMs,
    onLine(text) {
      hearOf(text);
      events.output('stderr', text);
    },
  });
  const meter = createWorkMeter(deps.clock, deps.share ?? childShare); // one for all that a child can make us read
  readWithin({ input: child.stderr, meter, timers: deps.clock, pieces: stderr });
  const direct = { input: child.stdout, output: child.stdin, kill: contained.kill };
  const { input, output: toChild } = events.interpose?.(direct) ?? direct;
  const outputEnded = Promise.all([input, child.stderr].map(waitForEnd));
  let halfLine: { timer: Timer; tell(): void } | null = null;

  const peer = createPeer({
    input,
    output: toChild,
    timers: deps.clock,
    meter,
    handle: dispatch,
    stalledAfterMs: writeStalledMs,
    onViolation(rule, detail) {
      if (rule !== 'partial-line-at-end') return events.violated(rule, detail);
      // A child that was killed, or that names its reason, ends so too; then its exit tells more.
      const tell = () => events.violated(rule, detail);
      halfLine = { tell, timer: deps.clock.timer(lastWordsMs, tell) };
    },
    onStray(text) {
      events.output('stray', `${text} (printed to stdout, which is the protocol's; print to stderr instead)`);
      if (++strays === wireLimits.strayLines) {
        peer.close(new HostError('plugin-crashed', 'the plugin printed too much to stdout'));
        events.violated('stray-output', `${wireLimits.strayLines} lines on stdout were not messages`);
      }
    },
  });

  // What it said before it ended still counts: an answer, or the line that broke a rule.
  onExit(async (exit) => {
    halfLine?.timer.cancel();
    await waitForLastWords(outputEnded, deps.clock);
    halfLine?.timer.cancel();
    if (exit.cause === 'exit-code') halfLine?.tell();
    peer.close(
      new HostError('plugin-crashed', `${id} ended before it answered`, {
        hint: `see why: lattice plugins why ${id}`,
      }),
    );
    stderr.end();
    events.exited(conclude(exit));
  });

  initialize(describeInitialize(start.launch, deps.callTimeoutMs));

  /** What the rate limit dropped may have named the cause. */
  function conclude(exit: Exit): Exit {
    let lastLines: readonly string[] | undefined;
    if (stderr.droppedBytes() > 0) {
      const note = `(${stderr.droppedBytes()} bytes printed to stderr were dropped: over the rate)`;
      events.output('stderr', note);
      lastLines = [...stderr.lastLines(stderrKept - 1), note];
      for (const line of lastLines) hearOf(line);
    }
    const cause = stderrOf.outOfMemory && exit.cause === 'signal' ? 'out-of-memory' : exit.cause;
    return { ...exit, cause, ...(lastLines ? { lastLines } : {}) };
  }

  function initialize(params: object): void {
    // Before the next message is looked at: a plugin may ask in the same breath.
    function onAnswer(answer: unknown): void {
      const parsed = childMethods.initialize.result.safeParse(answer);
      if (parsed.success && acceptedVersions.includes(parsed.data.protocol)) events.ready();
      else events.violated('initialize-answer', `the answer to initialize must be {"protocol": ${protocolVersion}}`);
    }
    const options = { timeoutMs: childMethods.initialize.timeoutMs, vital: true, onAnswer };
    peer.request('initialize', params, options).catch((error: unknown) => {
      const { code, message } = asHostError(error);
      // A runner that could not load its plugin ends by itself, with an exit code that says more; the deadline is the runtime's.
      if (code !== 'plugin-crashed' && code !== 'deadline-exceeded') events.violated('initialize-refused', message);
    });
  }

  return {
    get pid() {
      return contained.pid();
    },
    sandbox: level,
    limitsNotEnforced,
    invoke: (service, method, payload, { timeoutMs, ...rest }) =>
      peer.request('invoke', { service, method, payload, timeout_ms: timeoutMs }, { timeoutMs, ...rest }),
    ping: createPing(peer, deps.clock),
    shutdown: () => peer.request('shutdown', {}, { timeoutMs: childMethods.shutdown.timeoutMs, vital: true }),
    terminate: contained.terminate,
    kill: contained.kill,
    counters: () => ({
      ...peer.counters(),
      stray_lines: strays,
      held_bytes: peer.heldBytes(),
      held_bytes_most: peer.mostHeldBytes(),
      withheld_ms: Math.round(peer.withheldMs()),
      stderr_dropped_bytes: stderr.droppedBytes(),
    }),
  };
}
