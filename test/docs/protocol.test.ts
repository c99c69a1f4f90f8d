import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import t, { type Test } from 'tap';
import { childMethods, notifications } from '../../protocol/child-methods.ts';
import { exitCodes } from '../../protocol/exit-codes.ts';
import { wireLimits } from '../../protocol/version.ts';
import { checks } from '../../supervisor/author/conformance/checks.ts';
import { type Language, writePlugin } from '../../supervisor/author/new-plugin.ts';
import { policy } from '../../supervisor/dev/harness/mock-world.ts';
import { openSource } from '../../supervisor/dev/harness/source-bundle.ts';
import { openWorkshop } from '../../supervisor/dev/harness/workshop.ts';
import { createLaunch } from '../../supervisor/launch-plugin.ts';
import type { ChildWire } from '../../supervisor/runner.ts';
import { testFolder } from '../support/test-folder.ts';
import { listBlocks, readText } from './markdown.ts';

const page = readText('docs/PROTOCOL.md');
const workshop = await openWorkshop();
const isolated = workshop.runner.sandbox()?.level.startsWith('isolated') ? false : 'native plugins need the full cage';
const lacks = (program: string) => !existsSync(`/usr/bin/${program}`) && `${program} is not installed`;

type Message = { error?: { message?: string } };
/** The text of an error is for people: the page leaves it out. */
function readMessage(line: string): Message {
  const message = JSON.parse(line) as Message;
  if (message.error) delete message.error.message;
  return message;
}

/** The plugin in its cage, with nothing between the test and its stdin and stdout. */
async function openWire(t: Test, folder: string) {
  const bundle = await openSource(folder).load();
  const wired = Promise.withResolvers<ChildWire>();
  const ended = Promise.withResolvers<number | null>();
  const run = await workshop.runner.start(createLaunch(bundle, 1, {}, policy.ceilings, []), async () => null, {
    ready() {},
    crashed() {},
    violated() {},
    output() {},
    exited: ({ code }) => ended.resolve(code),
    interpose(wire) {
      wired.resolve(wire);
      const input = new PassThrough();
      wire.input.on('end', () => input.end());
      return { input, output: new PassThrough().resume() };
    },
  });
  t.teardown(async () => {
    run.kill();
    await ended.promise;
  });
  const { input, output } = await wired.promise;
  return { lines: createInterface({ input })[Symbol.asyncIterator](), output, ended: ended.promise };
}

const [session = ''] = listBlocks(page, 'jsonl');
const languages: [Language, string | false][] = [
  ['ts', false],
  ['js', false],
  ['c', isolated || lacks('gcc')],
  ['go', isolated || lacks('go')],
];
for (const [language, skip] of languages)
  t.test(
    `given the session of the page, when it is held with a new plugin in ${language}, then it answers as it stands there`,
    { skip },
    async (t) => {
      const folder = join(testFolder(t), 'plugin');
      const capabilities = ['kv:read', 'kv:write', 'log:write'];
      writePlugin(folder, { language, id: 'example.tried', name: 'Tried', publisher: 'dev.local', capabilities, egress: [] });
      const wire = await openWire(t, folder);
      const steps = session.trim().split('\n');
      t.ok(steps.length > 15);
      for (const step of steps) {
        const message = step.slice(2);
        if (step.startsWith('→')) wire.output.write(`${message}\n`);
        else {
          const { value } = await wire.lines.next();
          t.same(readMessage(String(value)), readMessage(message), message.slice(0, 80));
        }
      }
      wire.output.end();
      t.equal(await wire.ended, 0);
    },
  );

t.test('given the rules that end a plugin, when the page is read, then each stands there', async (t) => {
  const unions = ['peer', 'message', 'framing', 'strict-json'].map((name) => readText(`protocol/${name}.ts`)).join('\n');
  const rules = [...unions.matchAll(/^(?: {2}\||export type (?:FrameRule|MessageRule) =) .*$/gm)].flatMap(([line]) =>
    [...line.matchAll(/'([a-z0-9-]+)'/g)].map(([, rule]) => rule),
  );
  const known = rules.filter(
    (rule) => !['stray', 'message', 'violation', 'request', 'notification', 'response', 'unfinished'].includes(rule ?? ''),
  );
  t.ok(known.length >= 20, `${known.length} rules`);
  for (const rule of [...known, 'stray-output', 'initialize-answer', 'initialize-refused']) t.match(page, `\`${rule}\``);
});

t.test('given methods, limits, exit codes and checks, when the page is read, then each stands there', async (t) => {
  for (const name of Object.keys(childMethods)) t.match(page, `\n## ${name}\n`);
  for (const name of Object.keys(notifications)) t.match(page, `"method":"${name}"`);
  t.match(page, wireLimits.lineBytes.toLocaleString('fr').replaceAll(/\s/g, ' '));
  t.match(page, `may have ${wireLimits.inFlight} requests in flight`);
  t.match(page, `at most ${wireLimits.depth} deep`);
  for (const code of Object.values(exitCodes)) t.match(page, new RegExp(`\\| ${code} `));
  for (const [check, { title }] of Object.entries(checks)) t.match(page, `| \`${check}\` | ${title} |`);
});
