import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import t from 'tap';
import { capabilities } from '../../protocol/capabilities.ts';
import { errorTable } from '../../protocol/errors.ts';
import { defaultRates } from '../../protocol/host-methods.ts';
import { scopeTable } from '../../protocol/scopes.ts';
import { auditKinds } from '../../supervisor/audit.ts';
import { exitCodes } from '../../supervisor/cli/exit-codes.ts';
import { createRoutes, type RouteDeps } from '../../supervisor/http/routes.ts';
import { parseChannels } from '../../supervisor/notify/channels.ts';
import { readPolicy } from '../../supervisor/policy.ts';
import { causes } from '../../supervisor/restart-policy.ts';
import { parseTrustPolicy } from '../../supervisor/trust-policy.ts';
import { testFolder } from '../support/test-folder.ts';
import { listBlocks, listFiles, projectRoot, readText } from './markdown.ts';

const operator = readText('docs/OPERATOR.md');
const author = readText('docs/AUTHOR.md');
const settingsIn = (text: string): string[] => [...new Set(text.match(/\bLATTICE_[A-Z_]*[A-Z]\b/g) ?? [])].sort();
const tableRows = (text: string): string[][] =>
  [...text.matchAll(/^\| (.*) \|$/gm)].map(([, row = '']) => row.split(' | ').map((cell) => cell.trim()));
const findRow = (text: string, word: string): string[] | undefined =>
  tableRows(text).find(([first = '']) => first.split(', ').includes(`\`${word}\``));

t.test('given the settings that the service and the CLI read, when the manual is read, then it has the same ones', async (t) => {
  const known = settingsIn(readText('supervisor/config.ts'));
  t.same(settingsIn(operator), known);
  for (const name of known) t.ok(findRow(operator, name), `${name} has a row`);
});

t.test('given the error words, when the manual is read, then each has its exit code and what to do', async (t) => {
  for (const word of Object.keys(errorTable) as (keyof typeof errorTable)[])
    t.equal(findRow(operator.slice(operator.indexOf('## Error words')), word)?.[1], String(exitCodes[word]), word);
});

t.test('given the scopes, when the manual is read, then each stands there with its risk', async (t) => {
  for (const [scope, { risk }] of Object.entries(scopeTable)) t.equal(findRow(operator, scope)?.[1], risk, scope);
});

t.test('given the capabilities, when the author’s guide is read, then each stands there, with its risk where it can be used', async (t) => {
  for (const [capability, { risk }] of Object.entries(capabilities)) {
    t.match(author, `\`${capability}\``);
    const row = findRow(author, capability);
    if (row) t.equal(row[1], risk, capability);
  }
});

t.test('given the kinds of audit rows, when the manual is read, then each is explained', async (t) => {
  for (const kind of auditKinds) t.ok(findRow(operator, kind), kind);
});

t.test('given the causes of an end, when the manual is read, then each is explained', async (t) => {
  const section = operator.slice(operator.indexOf('## Why is it so?'), operator.indexOf('## The audit'));
  for (const cause of causes) t.ok(findRow(section, cause), cause);
});

t.test('given the routes of the API, when the manual is read, then each stands there with its scope', async (t) => {
  const deps = { supervisor: { logs: {} } } as unknown as RouteDeps; // rows are declared, none is run
  const section = operator.slice(operator.indexOf('## The HTTP API'), operator.indexOf('## A plugin'));
  for (const { method, path, scope } of createRoutes(deps)) {
    const rows = tableRows(section).filter(([requests = '']) => requests.includes(`${path}\``) || requests.includes(`${path} `));
    const row = rows.find(([requests = '', wanted]) => requests.includes(method) && wanted === (scope === null ? 'none' : `\`${scope}\``));
    t.ok(row, `${method} ${path} ${scope}`);
  }
});

t.test('given the examples of files in the manual, when they are read as the service reads them, then they are accepted', async (t) => {
  const blocks = listBlocks(operator, 'json');
  const holding = (word: string) => blocks.filter((block) => block.includes(`"${word}"`));
  const folder = testFolder(t, { 'policy.json': holding('ceilings')[0] ?? '' });

  t.same(readPolicy(join(folder, 'policy.json'), defaultRates), readPolicy(null, defaultRates), 'the policy shows the defaults');
  t.equal(parseTrustPolicy(Buffer.from(holding('trusted_publishers')[0] ?? '')).publishers.size, 1);
  t.equal(parseTrustPolicy(Buffer.from(holding('lattice.plugin.trust.v2')[0] ?? '')).publishers.get('acme.tools')?.maxRisk, 'write');
  t.same(
    [...parseChannels(Buffer.from(holding('channels')[0] ?? '')).values()].map(({ type }) => type),
    ['webhook', 'webhook', 'email', 'log'],
  );
  t.equal(blocks.length, 4, 'there is no further one');
});

t.test('given the files that the security manual names, when they are looked for, then they are there', async (t) => {
  const named = [...readText('docs/SECURITY.md').matchAll(/`((?:supervisor|protocol|runner-child|test)\/[^`]*)`/g)].map(
    ([, path = '']) => path,
  );
  t.ok(named.length > 50);
  for (const path of named) t.ok(existsSync(join(projectRoot, path)), path);
});

const slugOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
const headingsOf = (text: string): string[] =>
  [...text.replace(/^```.*?^```$/gms, '').matchAll(/^#+ (.*)$/gm)].map(([, name = '']) => slugOf(name));

t.test('given the pages, when README and their own contents are read, then every page and every part is listed', async (t) => {
  const readme = readText('README.md');
  for (const page of listFiles().filter((path) => /^docs\/.*\.md$/.test(path))) {
    t.match(readme, `](${page})`, page);
    const text = readText(page).replace(/^```.*?^```$/gms, '');
    const contents = text.slice(0, text.indexOf('\n## '));
    if (!contents.includes('](#')) continue; // a short page has none
    for (const [, heading = ''] of text.matchAll(/^## (.*)$/gm)) t.match(contents, `](#${slugOf(heading)})`, `${page}: ${heading}`);
  }
});

t.test('given the links of every manual, when they are followed, then they lead somewhere', async (t) => {
  for (const file of listFiles().filter((path) => path.endsWith('.md'))) {
    for (const [, target = ''] of readText(file).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path = '', anchor] = target.split('#');
      const found = path === '' ? file : normalize(join(dirname(file), path));
      t.ok(existsSync(join(projectRoot, found)), `${file}: ${target}`);
      if (anchor !== undefined) t.ok(headingsOf(readText(found)).includes(anchor), `${file}: ${target} is a heading`);
    }
  }
});

t.test('given every file of the project, when it is searched, then it names no place of the machine it was written on', async (t) => {
  // Put together here, so that this file does not hold them.
  const places = ['work', 'root', 'home'].map((name) => `/${name}/`);
  const papers = ['DESIGN', 'STYLE', 'SANDBOX', 'PUBLIC-API'].map((name) => `${name}.md`);
  const words = [...places, ...papers, ['registry', 'npmjs'].join('.')];
  const texts = listFiles().filter((path) => !/^package-lock\.json$|\.(gz|png|db)$/.test(path));
  for (const path of texts) {
    const text = readFileSync(join(projectRoot, path), 'utf8');
    t.same(
      words.filter((word) => text.includes(word)),
      [],
      path,
    );
  }
});
