import type { Command } from 'commander';

/** The service itself is loaded only for this verb: the others start faster without it. */
export function addServeVerb(program: Command): void {
  program
    .command('serve')
    .description('run the service; LATTICE_* variables configure it')
    .action(async () => {
      const { runService } = await import('../main.ts');
      await runService();
    });
}
