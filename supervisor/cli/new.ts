import { relative, resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { type Command, Option } from 'commander';
import { HostError } from '../../protocol/errors.ts';
import type { Language, NewPlugin } from '../author/new-plugin.ts';
import type { Cli } from './cli.ts';
import { collect } from './options.ts';

type Flags = Partial<Pick<NewPlugin, 'id' | 'name' | 'language'>> & {
  publisher: string;
  type: string;
  capability?: string[];
  egress?: string[];
  yes?: boolean;
};
/** What the templates are made for; written out so that the help does not load them. */
const languages: readonly Language[] = ['ts', 'js', 'c', 'go'];

export function addNewVerb(program: Command, cli: Cli): void {
  program
    .command('new <folder>')
    .description('write a new plugin that runs at once, with a test; asks on a terminal for what is not given')
    .addOption(new Option('-l, --language <language>', 'what it is written in; ts unless given').choices(languages))
    .option('--id <id>', 'its id, with at least one dot; else made from the name of the folder')
    .option('--name <name>', 'its name for people; else made from the id')
    .option('-c, --capability <name>', 'what it may ask for; repeat it, or separate by commas; "none" for nothing', collect)
    .option('--egress <host:port>', 'a host that it may reach with http:egress; repeat it, or separate by commas', collect)
    .option('--publisher <publisher>', 'who will sign it', 'dev.local')
    .addOption(new Option('--type <type>', 'of the types only system runs in this version').default('system'))
    .option('-y, --yes', 'ask nothing')
    .action((folder: string, flags: Flags) => create(cli, resolve(folder), flags));
}

async function create(cli: Cli, folder: string, flags: Flags): Promise<void> {
  const author = await import('../author/new-plugin.ts'); // the tables behind it are for this verb only
  if (flags.type !== 'system')
    throw new HostError('invalid-params', `plugins of type ${flags.type.slice(0, 32)} are not run by this version`, {
      hint: 'leave --type out: system plugins are written in ts, js, c or go',
    });
  author.requireEmpty(folder);
  const answers = flags.yes || cli.json || !cli.io.stdin.isTTY || !cli.io.stderr.isTTY ? flags : await ask(cli, folder, flags, author);
  const id = answers.id ?? author.suggestId(folder);
  const wanted = (answers.capability ?? [...author.defaultCapabilities]).filter((name) => name !== '' && name !== 'none');
  const plugin: NewPlugin = {
    id,
    language: answers.language ?? 'ts',
    name: answers.name ?? author.suggestName(id),
    publisher: flags.publisher,
    capabilities: [...new Set(wanted)].sort(),
    egress: flags.egress ?? [],
  };
  const files = author.writePlugin(folder, plugin);
  const near = relative(process.cwd(), folder) || '.';
  const shown = near.startsWith('..') ? folder : near;
  await cli.show({ id, folder, files }, () => `${id} is in ${shown}: ${files.join(', ')}\n`);
  if (!cli.json) await cli.note(`next:\n  cd ${shown}\n  npm test\n  npx --no lattice dev`);
}

/** Asks for what the flags do not say; an empty answer takes what stands in brackets. */
async function ask(cli: Cli, folder: string, flags: Flags, author: typeof import('../author/new-plugin.ts')): Promise<Flags> {
  const asking = createInterface({ input: cli.io.stdin, output: cli.io.stderr });
  const lines = asking[Symbol.asyncIterator](); // keeps what was typed ahead
  async function question(given: string | undefined, text: string, suggestion: string): Promise<string> {
    if (given !== undefined) return given;
    cli.io.stderr.write(`${text} [${suggestion}]: `);
    const { done, value = '' } = await lines.next();
    if (done) throw new HostError('cancelled', 'the questions were not answered', { hint: 'give flags, or --yes' });
    return value.trim() || suggestion;
  }
  try {
    const language = await question(flags.language, `language (${languages.join(', ')})`, 'ts');
    const known = languages.find((each) => each === language);
    if (!known)
      throw new HostError('invalid-params', `there is no template for ${language.slice(0, 32)}`, {
        hint: `one of ${languages.join(', ')}`,
      });
    const id = await question(flags.id, 'id', author.suggestId(folder));
    const name = await question(flags.name, 'name', author.suggestName(id));
    const wanted = await question(flags.capability?.join(','), 'capabilities', author.defaultCapabilities.join(','));
    return { ...flags, language: known, id, name, capability: collect(wanted) };
  } finally {
    asking.close();
  }
}
