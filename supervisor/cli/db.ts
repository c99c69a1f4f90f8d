import type { Command } from 'commander';
import type { Cli } from './cli.ts';

/** The verbs themselves load SQLite, which the rest of the command can do without. */
export function addDbVerbs(program: Command, cli: Cli): void {
  const db = program.command('db').description('check, back up and restore the database in the data directory');
  const run = (name: keyof typeof import('./db-verbs.ts')) => async (file?: string) => {
    const verbs = await import('./db-verbs.ts');
    await verbs[name](cli, file ?? '');
  };
  db.command('check')
    .description('check the whole database, or the file named, and its audit from the first row; also while the service runs')
    .argument('[file]')
    .action(run('checkDatabase'));
  db.command('backup')
    .description('write one consistent file with a proved audit; also while the service runs')
    .argument('<file>')
    .action(run('backUpDatabase'));
  db.command('restore')
    .description('with the service stopped: put a backup in the place of the database, which is kept under another name')
    .argument('<file>')
    .action(run('restoreDatabase'));
  db.command('export')
    .description('write every row as a line of JSON, to the file or to stdout (-); also while the service runs')
    .argument('<file>')
    .action(run('exportRows'));
  db.command('import')
    .description('with the service stopped: build the database anew from an export; the present one is kept under another name')
    .argument('<file>')
    .action(run('importRows'));
}
