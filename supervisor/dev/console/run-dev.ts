import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { asHostError, type HostError } from '../../../protocol/errors.ts';
import type { Cli } from '../../cli/cli.ts';
import type { Timer } from '../../clock.ts';
import type { Fault } from '../faults/faults.ts';
import { readFixture } from '../fixture/read-fixture.ts';
import { type Harness, openHarness } from '../harness/harness.ts';
import type { HarnessEvent } from '../harness/harness-events.ts';
import { openWorkshop } from '../harness/workshop.ts';
import { type Inspector, openInspector } from '../inspector/inspector.ts';
import { measurePeak } from '../learn/measure-peak.ts';
import { proposeManifest } from '../learn/propose-manifest.ts';
import { unifiedDiff } from '../learn/unified-diff.ts';
import { createRecorder, type Recorder } from '../replay/record-session.ts';
import { type CallRequest, runCommand } from './commands.ts';
import { type Ask, type Keyboard, readKeys, readLines } from './keyboard.ts';
import { createJsonScreen, createLiveScreen, createPlainScreen, type Screen } from './screen.ts';
import { type Counts, describeStatus } from './status-lines.ts';
import { watchSources } from './watch-sources.ts';

export type DevOptions = {
  folder: string;
  fixtureFile: string | null;
  config: Record<string, unknown>;
  calls: readonly CallRequest[];
  faults: readonly Fault[];
  once: boolean;
  learn: boolean;
  write: boolean;
  wire: boolean;
  recordFile: string | null;
  ui: boolean;
};

const statusEveryMs = 500;

/** `lattice dev`: runs a plugin in the harness until it is told to quit, or, once, until its calls are answered. Throws what made it fail. */
export async function runDev(cli: Cli, options: DevOptions): Promise<void> {
  const { io } = cli;
  const isLive = !cli.json && !options.once && io.stdin.isTTY === true && io.stdout.isTTY === true;
  if (cli.json) cli.beginLines();
  const live = isLive ? createLiveScreen(io.stdout, cli.paint) : null;
  const write = (text: string) => void io.stdout.write(text);
  const screen: Screen = live ?? (cli.json ? createJsonScreen(write) : createPlainScreen(write, cli.paint));
  const counts: Counts = { calls: 0, hostCalls: 0, denied: 0 };
  let recorder: Recorder | null = null;
  let inspector: Inspector | null = null;
  const workshop = await openWorkshop({ warmChildren: options.once ? 0 : 1 }); // for the next reload
  const harness = await openHarness({
    workshop,
    folder: options.folder,
    ...(options.fixtureFile === null ? {} : { fixture: readFixture(options.fixtureFile) }),
    config: options.config,
    grantAll: options.learn,
    faults: options.faults,
    messages: options.wire || options.ui,
    onEvent(event) {
      count(counts, event);
      if (event.kind !== 'message' || options.wire) screen.show(event);
      inspector?.show(event);
    },
    onBundle: (bundle) => recorder?.begin(bundle),
    onLine: (direction, line) => recorder?.message(direction, line),
  });
  if (options.recordFile !== null) recorder = createRecorder(options.recordFile, { clock: io.clock, redact: harness.redact });
  const quit = Promise.withResolvers<void>();
  if (options.ui && !options.once) {
    inspector = await openInspector(harness, quit.resolve);
    screen.print(`inspector: ${inspector.url}`);
  }
  const peak = options.learn ? measurePeak(harness, io.clock) : null;
  try {
    const failure = options.once
      ? await runOnce(harness, options.calls)
      : await runUntilQuit({ cli, options, harness, screen, live, counts, inspector, quit });
    tellUnused(harness);
    if (peak) propose(harness, options, screen, peak.peak());
    if (failure) throw harness.clean(failure);
  } finally {
    peak?.stop();
    await harness.stop();
    await workshop.runner.close();
    live?.close();
    await inspector?.close();
    recorder?.close();
  }
}

function count(counts: Counts, event: HarnessEvent): void {
  if (event.kind === 'invoke') counts.calls++;
  if (event.kind === 'host-answer') counts.hostCalls++;
  if (event.kind === 'host-answer' && event.verdict === 'deny') counts.denied++;
}

/** The first failure of the start or of a call; the calls behind it are made all the same. */
async function runOnce(harness: Harness, calls: readonly CallRequest[]): Promise<HostError | null> {
  await harness.start();
  let failure: HostError | null = null;
  for (const { service, method, payload } of calls)
    await harness.call(service, method, payload).catch((thrown: unknown) => {
      failure ??= asHostError(thrown);
    });
  return failure;
}

type Session = {
  cli: Cli;
  options: DevOptions;
  harness: Harness;
  screen: Screen;
  live: ReturnType<typeof createLiveScreen> | null;
  counts: Counts;
  inspector: Inspector | null;
  quit: PromiseWithResolvers<void>;
};

async function runUntilQuit(session: Session): Promise<null> {
  const { cli, options, harness, screen, quit } = session;
  const { io } = cli;
  io.onInterrupt().addEventListener('abort', () => quit.resolve());
  const watcher = watchSources(harness.folder, io.clock, (paths) => void reload(harness, options, paths, screen));
  const keyboard = listen(session, () => quit.resolve());
  const status = session.live || session.inspector ? keepStatus(session) : null;
  try {
    await watcher.ready;
    await harness.start().catch((thrown: unknown) => tellNotStarted(harness, thrown));
    for (const { service, method, payload } of options.calls) await harness.call(service, method, payload).catch(() => {}); // told as an event
    await quit.promise;
  } finally {
    status?.cancel();
    keyboard.close();
    await watcher.close();
  }
  return null;
}

async function reload(harness: Harness, options: DevOptions, paths: readonly string[], screen: Screen): Promise<void> {
  const fixtureFile = options.fixtureFile === null ? null : resolve(options.fixtureFile);
  try {
    const fixture = fixtureFile !== null && paths.includes(fixtureFile) ? readFixture(fixtureFile) : undefined;
    harness.tell({
      kind: 'note',
      level: 'info',
      text: `changed: ${paths
        .slice(0, 5)
        .map((path) => basename(path))
        .join(', ')}`,
    });
    await harness.reload(fixture);
  } catch (thrown) {
    if (asHostError(thrown).details.rule === 'fixture') screen.print(asHostError(thrown).message);
    else tellNotStarted(harness, thrown);
  }
}

/** A build that failed and a state it did not leave have been told; the last words of a plugin that threw are in its log. */
function tellNotStarted(harness: Harness, thrown: unknown): void {
  const { code, message, details } = asHostError(thrown);
  if (code === 'invalid-params') return;
  harness.tell({ kind: 'note', level: 'warn', text: `${message}${typeof details.hint === 'string' ? ` (${details.hint})` : ''}` });
}

function listen({ cli: { io }, harness, screen, live }: Session, quit: () => void): Keyboard {
  const run = (text: string) => runCommand(text, { harness, print: screen.print, quit });
  if (!live) return readLines(io.stdin, (line) => void run(line));
  let lastCall = '';
  let lastFault = '';
  async function askAndRun(ask: Ask, key: string, question: string, proposal: string): Promise<string> {
    live?.hold();
    const answer = await ask(`${question}${proposal === '' ? '' : `[${proposal}] `}`, proposal);
    live?.release();
    if (answer) void run(`${key} ${answer}`); // while it is answered, keys work
    return answer || proposal;
  }
  return readKeys(io, async (key, ask) => {
    if (key === 'c') lastCall = await askAndRun(ask, 'c', 'call: ', lastCall || proposeCall(harness));
    else if (key === 'f') lastFault = await askAndRun(ask, 'f', 'fault: ', lastFault || 'drop@kv.get#1');
    else await run(key);
  });
}

function proposeCall(harness: Harness): string {
  if (harness.state() === 'stopped') return '';
  const [service] = harness.manifest().services ?? [];
  return service ? `${service.name}.${service.methods[0]?.name ?? ''} {}` : '';
}

function keepStatus({ cli, harness, counts, live, inspector }: Session): Timer {
  let timer: Timer;
  const show = () => {
    live?.status(describeStatus(harness, counts, cli.paint));
    inspector?.status(describeStatus(harness, counts, (_colour, text) => text)[0] ?? '');
    timer = cli.io.clock.timer(statusEveryMs, show);
  };
  show();
  return { cancel: () => timer.cancel() };
}

/** A line that nothing has matched is often one that was meant to match. */
function tellUnused(harness: Harness): void {
  const unused = harness.unusedFixtureLines();
  if (unused.length > 0)
    harness.tell({
      kind: 'note',
      level: 'info',
      text: `no call has matched these lines of the fixture: ${unused.slice(0, 10).join(', ')}`,
    });
}

function propose(harness: Harness, options: DevOptions, screen: Screen, peak: Parameters<typeof proposeManifest>[3]): void {
  const used = harness.used();
  if (!used || harness.form !== 'sources') return;
  const file = join(harness.folder, 'plugin.json');
  const before = readFileSync(file, 'utf8');
  const after = proposeManifest(before, harness.manifest(), used, peak);
  const diff = unifiedDiff('plugin.json', before, after);
  if (diff === '') return screen.print('plugin.json asks for exactly what was used');
  screen.print(`${diff}\nThis is what was used while it ran; what was not tried is not in it.`);
  if (!options.write) return screen.print('To write it: the same command with --write.');
  writeFileSync(file, after);
  screen.print('plugin.json is written.');
}
