import { type Argument, Command, CommanderError } from 'commander';
import { HostError } from '../../protocol/errors.ts';
import { asDiskError } from '../disk-fault.ts';
import { addAuditVerbs } from './audit.ts';
import { addCapsVerb } from './caps.ts';
import { type Cli, createCli, type Io } from './cli.ts';
import { addConformanceVerb } from './conformance.ts';
import { addDbVerbs } from './db.ts';
import { addDevVerbs } from './dev.ts';
import { addDoctorVerb } from './doctor.ts';
import { exitCodeOf } from './exit-codes.ts';
import { addFeedVerb } from './feed.ts';
import { addInspectVerb } from './inspect.ts';
import { addKeygenVerb } from './keygen.ts';
import { addKvVerbs } from './kv.ts';
import { addMarketVerbs } from './market.ts';
import { addNewVerb } from './new.ts';
import { addPackVerb } from './pack.ts';
import { addPluginVerbs } from './plugins.ts';
import { addProtocolVerb } from './protocol.ts';
import { addReplayVerb } from './replay.ts';
import { addServeVerb } from './serve.ts';
import { addSignVerb } from './sign.ts';
import { addTestVerb } from './test.ts';
import { addTokenVerbs } from './token.ts';
import { addTrustVerb } from './trust.ts';
import { addVerifyVerb } from './verify.ts';
import { visibleLines } from './visible.ts';

/** Runs one command line and answers its exit code. */
export async function runCli(argv: readonly string[], io: Io, version: string): Promise<number> {
  const end = argv.indexOf('--');
  const cli = createCli(io, (end === -1 ? argv : argv.slice(0, end)).includes('--json'));
  const running = { verb: 'lattice' };
  try {
    await createProgram(cli, version, running).parseAsync(argv, { from: 'user' });
    return 0;
  } catch (caught) {
    if (caught instanceof CommanderError) return await endUsage(cli, caught);
    const thrown = asDiskError(caught);
    await cli.fail(thrown, running.verb);
    return exitCodeOf(thrown);
  } finally {
    await cli.close();
  }
}

function createProgram(cli: Cli, version: string, running: { verb: string }): Command {
  const program = new Command('lattice');
  program
    .description('runs signed plugins in sandboxes, and manages them')
    .version(version)
    .option('--json', 'print the result, or the problem, as JSON')
    .exitOverride()
    .configureHelp({ showGlobalOptions: true, minWidthToWrap: 20, subcommandTerm: tellVerb })
    .configureOutput({
      outputError: (text, write) => {
        if (!cli.json) write(`${visibleLines(text.trimEnd())}\n  hint: lattice --help, or --help after a verb\n`);
      },
    })
    .addHelpText(
      'after',
      '\nExit codes: 0 ok, 1 other, 2 usage, 3 not running, 4 denied,\n  5 verification failed, 6 timeout, 7 conflict, 8 unavailable',
    )
    .hook('preAction', (_program, verb) => {
      running.verb = nameOf(verb);
    });
  addServeVerb(program);
  addPluginVerbs(program, cli);
  addKvVerbs(program, cli);
  addAuditVerbs(program, cli);
  addDbVerbs(program, cli);
  addTokenVerbs(program, cli);
  addFeedVerb(program, cli);
  addNewVerb(program, cli);
  addTestVerb(program, cli);
  addProtocolVerb(program, cli, version);
  addConformanceVerb(program, cli);
  addDoctorVerb(program, cli);
  addTrustVerb(program, cli);
  for (const add of [addKeygenVerb, addPackVerb, addSignVerb, addVerifyVerb, addInspectVerb, addCapsVerb, addMarketVerbs])
    add(program, cli);
  addDevVerbs(program, cli);
  addReplayVerb(program, cli);
  return program;
}

/** Each verb's own help tells its options; the names alone leave room for what they do. */
function tellVerb(verb: Command): string {
  if (verb.parent?.parent === null) return verb.name();
  const tell = (each: Argument) => (each.required ? `<${each.name()}>` : `[${each.name()}${each.variadic ? '...' : ''}]`);
  return [verb.name(), ...verb.registeredArguments.map(tell)].join(' ');
}

const nameOf = (command: Command): string => (command.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name());

/** Commander has printed it already, but for programs. Help that was asked for is a success, help for want of a verb is not. */
async function endUsage(cli: Cli, thrown: CommanderError): Promise<number> {
  if (thrown.code === 'commander.helpDisplayed' || thrown.code === 'commander.version') return 0;
  const message = thrown.code === 'commander.help' ? 'a verb is missing' : thrown.message.replace(/^error: /, '').replaceAll('\n', ' ');
  const usage = new HostError('invalid-params', message, { hint: 'lattice --help, or --help after a verb' });
  if (cli.json) await cli.fail(usage, 'lattice');
  return exitCodeOf(usage);
}
