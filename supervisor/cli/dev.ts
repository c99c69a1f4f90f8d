import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { asHostError, HostError } from '../../protocol/errors.ts';
import { parseStrictText } from '../../protocol/strict-json.ts';
import { type CallRequest, parseCall } from '../dev/console/commands.ts';
import { faultNames } from '../dev/faults/fault-actions.ts';
import { fixtureNames } from '../dev/fixture/fixture-names.ts';
import { explainJson } from '../explain-json.ts';
import type { Cli } from './cli.ts';
import { readJsonArgument } from './options.ts';
import { visibleJson } from './visible.ts';

type Flags = {
  fixture?: string;
  config?: string;
  call?: CallRequest[];
  fault?: string[];
  once?: true;
  learn?: true;
  write?: true;
  wire?: true;
  ui?: true;
  record?: string;
};

/** The verbs of a plugin's author. Their parts are loaded when they run: other verbs start faster without the runner and its tools. */
export function addDevVerbs(program: Command, cli: Cli): void {
  program
    .command('dev [folder]')
    .description('run a plugin caged as in production against mocks, reload it when its sources change, and show what it does')
    .option('--fixture <file>', `how the mocks answer, YAML or JSON (${fixtureNames[0]} of the folder, if there is one)`)
    .option('--config <json>', 'the operator’s settings: a JSON object, or @file')
    .option('--call <call>', `call a method once it is ready: 'service.method {"json": 1}'; may stand several times`, gather(parseCall), [])
    .option('--fault <fault>', `${faultNames.join('|')}@step: a fault on the wire; may stand several times`, collectWhole, [])
    .option('--once', 'end when the calls are answered; the exit code tells of the first failure')
    .option('--learn', 'grant and mock everything, and propose the smallest manifest at the end')
    .option('--write', 'with --learn: write the proposal to plugin.json')
    .option('--wire', 'show every message too')
    .option('--ui', 'serve a page on this machine that shows it all: timeline, calls, faults, buckets')
    .option('--record <file>', 'write every message to a file, without secrets, for lattice replay')
    .action((folder: string | undefined, flags: Flags) => dev(cli, folder ?? '.', flags));
  program
    .command('call <folder> <service.method> [payload]')
    .description('call a method of a plugin’s sources or bundle once, against mocks; the payload is JSON, or - to read it from stdin')
    .option('--fixture <file>', 'how the mocks answer, YAML or JSON')
    .option('--config <json>', 'the operator’s settings: a JSON object, or @file')
    .action((folder: string, name: string, payload: string | undefined, flags: Flags) => callOnce(cli, folder, name, payload, flags));
}

const gather =
  <T>(parse: (text: string) => T) =>
  (text: string, sofar: T[] = []): T[] => {
    try {
      return [...sofar, parse(text)];
    } catch (thrown) {
      const { message, details } = asHostError(thrown);
      throw new InvalidArgumentError(`${message}. ${String(details.hint ?? '')}`);
    }
  };

const collectWhole = (text: string, sofar: string[] = []): string[] => [...sofar, text];

export function findFixture(folder: string, named: string | undefined): string | null {
  if (named !== undefined) return resolve(named);
  return fixtureNames.map((name) => join(resolve(folder), name)).find((file) => existsSync(file)) ?? null;
}

export function readConfig(text: string | undefined): Record<string, unknown> {
  if (text === undefined) return {};
  const json = text.startsWith('@') ? readFileSync(text.slice(1), 'utf8') : text;
  const parsed = parseStrictText(json);
  if (parsed.ok && typeof parsed.value === 'object' && parsed.value !== null && !Array.isArray(parsed.value))
    return parsed.value as Record<string, unknown>; // just checked
  throw new HostError('invalid-params', `the settings are not a JSON object${parsed.ok ? '' : `: ${explainJson(json, parsed).detail}`}`, {
    hint: `write them like --config '{"city": "Hamburg"}', or --config @settings.json`,
  });
}

async function dev(cli: Cli, folder: string, flags: Flags): Promise<void> {
  if (flags.write && !flags.learn)
    throw new HostError('invalid-params', '--write goes with --learn', { hint: 'lattice dev --learn --write' });
  const { parseFault } = await import('../dev/faults/faults.ts');
  const faults = (flags.fault ?? []).map(parseFault);
  const { runDev } = await import('../dev/console/run-dev.ts');
  await runDev(cli, {
    folder,
    fixtureFile: findFixture(folder, flags.fixture),
    config: readConfig(flags.config),
    calls: flags.call ?? [],
    faults,
    once: flags.once === true,
    learn: flags.learn === true,
    write: flags.write === true,
    wire: flags.wire === true,
    ui: flags.ui === true,
    recordFile: flags.record ?? null,
  });
}

async function callOnce(cli: Cli, folder: string, name: string, payload: string | undefined, flags: Flags): Promise<void> {
  const { service, method } = parseCall(name);
  const given = payload === undefined ? null : await readJsonArgument(cli, payload, 'the payload');
  const fixtureFile = findFixture(folder, flags.fixture);
  const { readFixture } = await import('../dev/fixture/read-fixture.ts');
  const { openHarness } = await import('../dev/harness/harness.ts');
  const { describeEvent } = await import('../dev/console/describe-event.ts');
  const harness = await openHarness({
    folder,
    config: readConfig(flags.config),
    ...(fixtureFile === null ? {} : { fixture: readFixture(fixtureFile) }),
    onEvent(event) {
      const isTelling = event.kind === 'host-answer' || event.kind === 'log' || event.kind === 'notification' || event.kind === 'note';
      if (isTelling && !cli.json)
        for (const line of describeEvent(event, { paint: (_colour, text) => text, width: 120 })) void cli.note(line);
    },
  });
  try {
    await harness.start();
    const result = await harness.call(service, method, given);
    await cli.show(result, () => `${visibleJson(result, 2)}\n`);
  } finally {
    await harness.stop();
  }
}
