import type { Command } from 'commander';
import type { DoctorView, SandboxView } from '../plugin-view.ts';
import type { Cli } from './cli.ts';
import { NotRunning } from './exit-codes.ts';
import { visible } from './visible.ts';

type Finding = Partial<DoctorView> & { running: boolean; sandbox: SandboxView | null };

export function addDoctorVerb(program: Command, cli: Cli): void {
  program
    .command('doctor')
    .description('tell what the service stands on: the sandbox layer by layer, and how to get what is missing')
    .action(async () => {
      const found = await examine(cli);
      await cli.show(found, () => describe(cli, found));
    });
}

/** Asks the service; when none runs, tries the sandbox as it would be found by one that this user starts. */
async function examine(cli: Cli): Promise<Finding> {
  try {
    const view = await (await cli.connect()).request<DoctorView>('GET', '/api/doctor');
    return { running: true, ...view };
  } catch (error) {
    if (!(error instanceof NotRunning)) throw error;
  }
  const { describeSafeMode } = await import('../storage/safe-mode.ts');
  const { readSafeMode } = await import('../storage/set-aside.ts');
  const { examineSandbox } = await import('../open-subprocess-runner.ts');
  const { sandboxChoices } = await import('../config.ts');
  const minimum = sandboxChoices.find((choice) => choice === cli.io.environment.LATTICE_SANDBOX) ?? 'isolated';
  const record = await readSafeMode(cli.dataDir);
  const database = record === null ? {} : { database: describeSafeMode(record) };
  return {
    running: false,
    ...database,
    node: process.versions.node,
    uid: cli.io.uid,
    sandbox: await examineSandbox(minimum, cli.io.clock),
  };
}

const columns = [{ title: 'LAYER', keep: true }, { title: 'HELD', keep: true }, { title: 'WHAT WAS FOUND' }, { title: 'HOW TO GET IT' }];

function describe(cli: Cli, found: Finding): string {
  const { sandbox } = found;
  const head = found.running
    ? `The service ${visible(found.version ?? '')} runs on Node ${visible(found.node ?? '')}; its audit has ${found.audit_rows ?? 0} rows.`
    : `No service runs here. This is what one started by this user (uid ${found.uid}) would find.`;
  const safe = describeDatabase(cli, found);
  if (found.running && safe !== '') return `${head}\n${safe}`;
  if (sandbox === null) return `${head}\n${safe}The noop runner runs no plugin code.\n`;
  const rows = sandbox.layers.map((row) =>
    [row.layer, row.available ? 'yes' : 'no', row.detail, row.available ? '' : row.how_to_get].map(visible),
  );
  const waiting = describeWaiting(found);
  const refused = (found.refused ?? []).map(
    ({ folder, code, detail }) => `refused bundle ${visible(folder)}: ${visible(code)}: ${visible(detail)}\n`,
  );
  return `${head}\n${safe}${cli.paint('bold', `Sandbox level available: ${visible(sandbox.level)}; the operator's minimum: ${visible(sandbox.minimum)}.`)}\n${describeProbes(sandbox)}${waiting}${cli.table(columns, rows, '')}${refused.join('')}`;
}

/** When it was probed again, and when the level is not the last word. */
function describeProbes({ probed }: SandboxView): string {
  if (!probed) return '';
  const again = probed.times > 1 ? `Probed ${probed.times} times since the service started, last at ${visible(probed.last_at)}.\n` : '';
  const open = 'The last probe could not tell all: what hangs on it\nis refused for now, and probed again at the next start.\n';
  return `${again}${probed.could_tell ? '' : open}`;
}

const describeWaiting = ({ waiting_children: waiting }: Finding): string =>
  waiting ? `Caged children that wait for a plugin: ${waiting.now} of the ${waiting.asked} asked for.\n` : '';

/** In safe mode, or when nothing can be written: why, and what to do. Else nothing needs saying. */
function describeDatabase(cli: Cli, { database }: Finding): string {
  if (database?.state === 'unwritable')
    return `${cli.paint('red', 'NOTHING CAN BE WRITTEN: only reads are answered.')} ${visible(database.detail)} (${visible(database.rule)}), since ${visible(database.since)}.\nWhat to do: ${visible(database.hint)}\n`;
  if (database?.state !== 'safe-mode') return '';
  const kept = database.set_aside === null ? 'There was no file to keep.' : `It was kept as ${visible(database.set_aside)}.`;
  return `${cli.paint('red', 'SAFE MODE: no plugin runs.')} ${visible(database.detail)} (${visible(database.rule)}), found ${visible(database.since)}. ${kept}\nWhat to do: ${visible(database.hint)}\n`;
}
