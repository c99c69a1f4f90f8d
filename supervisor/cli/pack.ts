import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { Cli } from './cli.ts';
import { visible } from './visible.ts';

type PackOptions = { out?: string; artifact?: string };

export function addPackVerb(program: Command, cli: Cli): void {
  program
    .command('pack <folder>')
    .description('build the sources of a plugin into an unsigned bundle; the same sources give the same bytes')
    .option('-o, --out <folder>', 'where the bundle goes; else the folder bundle beside plugin.json')
    .option('--artifact <file>', 'take this file instead of building one; for a native plugin else the file plugin in its folder')
    .action(async (folder: string, { out, artifact: built }: PackOptions) => {
      const { buildPlugin, renderManifest } = await import('../publish/pack-plugin.ts'); // these and the builder are for this verb only
      const { writeBundle } = await import('../publish/place-bundle.ts');
      const source = resolve(folder);
      const home = out === undefined ? join(source, 'bundle') : resolve(out);
      const { id, version, unsigned, artifact } = await buildPlugin(source, built === undefined ? undefined : resolve(built));
      writeBundle({ manifest: renderManifest(unsigned), artifact }, home);
      const made = { id, version, folder: home, artifact_sha256: unsigned.digest_sha256, artifact_bytes: artifact.length, signed: false };
      await cli.show(
        made,
        () => `${id} ${visible(version)} is packed in ${home}, not signed\n  artifact ${made.artifact_sha256}, ${artifact.length} bytes\n`,
      );
      if (!cli.json) await cli.note(`next: lattice sign ${home} --key <file>`);
    });
}
