import { resolve } from 'node:path';
import type { Command } from 'commander';
import { HostError } from '../../protocol/errors.ts';
import type { Conformance, Verdict } from '../author/conformance/run-conformance.ts';
import type { Cli } from './cli.ts';
import { collect, readJsonArgument } from './options.ts';
import { visible } from './visible.ts';

type Flags = { call?: string; payload?: string; config?: string; only?: string[] };

export function addConformanceVerb(program: Command, cli: Cli): void {
  program
    .command('conformance <folder>')
    .description(
      'try whether a plugin, its sources or its bundle, speaks the protocol as PROTOCOL.md has it; each check starts it anew, caged',
    )
    .option('--call <service.method>', 'the method that the checks call; else the first of the manifest')
    .option('--payload <json>', 'the payload that it is called with; {} unless given')
    .option('--config <json>', 'the operator’s settings')
    .option('--only <check>', 'only this check; repeat it, or separate by commas', collect)
    .action((folder: string, flags: Flags) => run(cli, resolve(folder), flags));
}

async function run(cli: Cli, folder: string, flags: Flags): Promise<void> {
  const { runConformance } = await import('../author/conformance/run-conformance.ts');
  const { checks } = await import('../author/conformance/checks.ts');
  const { openWorkshop } = await import('../dev/harness/workshop.ts');
  const unknown = flags.only?.find((name) => !Object.hasOwn(checks, name));
  if (unknown !== undefined)
    throw new HostError('invalid-params', `there is no check ${unknown.slice(0, 64)}`, {
      hint: `one of ${Object.keys(checks).join(', ')}`,
    });
  const call = await readCall(cli, flags);
  const config = flags.config === undefined ? {} : asObject(await readJsonArgument(cli, flags.config, 'the configuration'));
  const workshop = await openWorkshop();
  for (const warning of workshop.warnings) await cli.note(visible(warning));
  const report = await runConformance(
    folder,
    { workshop, clock: cli.io.clock },
    { ...(call ? { call } : {}), config, ...(flags.only ? { only: flags.only } : {}) },
  );
  if (report.ok || !cli.json) await cli.show(report, () => renderReport(cli, report));
  const failed = report.checks.filter(({ verdict }) => verdict === 'fail');
  if (failed.length > 0)
    throw new HostError('verification-failed', `${report.id} fails ${failed.length} of ${report.checks.length} checks`, {
      ...report,
      hint: 'docs/PROTOCOL.md says what each is about',
    });
}

async function readCall(cli: Cli, { call, payload }: Flags): Promise<{ service: string; method: string; payload: unknown } | null> {
  const given = payload === undefined ? {} : await readJsonArgument(cli, payload, 'the payload');
  if (call === undefined && payload === undefined) return null;
  const [service, method, ...more] = call?.split('.') ?? [];
  if (service && method && more.length === 0) return { service, method, payload: given };
  throw new HostError('invalid-params', 'the method is named service.method', {
    hint: 'for example: --call greeter.greet --payload \'{"name":"Ada"}\'',
  });
}

function asObject(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new HostError('invalid-params', 'the configuration is a JSON object', { hint: 'like \'{"city":"Hamburg"}\'' });
}

const columns = [{ title: 'CHECK', keep: true }, { title: 'VERDICT', keep: true }, { title: 'WHAT THE PLUGIN DOES' }, { title: 'REMARK' }];
const colours = { pass: 'green', fail: 'red', skip: 'yellow' } as const satisfies Record<Verdict['verdict'], string>;

function renderReport(cli: Cli, report: Conformance): string {
  const rows = report.checks.map(({ check, verdict, title, detail }) => [
    check,
    cli.paint(colours[verdict], verdict),
    title,
    visible(detail),
  ]);
  const count = (verdict: Verdict['verdict']) => report.checks.filter((row) => row.verdict === verdict).length;
  const counts = `${count('pass')} passed, ${count('fail')} failed, ${count('skip')} skipped`;
  return `${report.id} ${visible(report.version)}, engine ${report.engine}, sandbox ${report.sandbox}\n${cli.table(columns, rows, '')}${counts}\n`;
}
