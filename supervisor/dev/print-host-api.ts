import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { capabilities, capabilityNames, risks } from '../../protocol/capabilities.ts';
import { childMethods, notifications } from '../../protocol/child-methods.ts';
import { errorTable } from '../../protocol/errors.ts';
import { exitCodes } from '../../protocol/exit-codes.ts';
import { defaultRates, hostMethodNames, hostMethods } from '../../protocol/host-methods.ts';
import { wireLimits } from '../../protocol/version.ts';

const target = new URL('../../docs/HOST-API.md', import.meta.url);
const effects = {
  none: 'changes nothing; its audit row follows within 50 ms',
  database: 'commits together with its audit row',
  outside: 'starts after its audit row is durable; an outcome row follows',
} as const;

const json = (value: unknown): string => `\`\`\`json\n${JSON.stringify(value, null, 2)}\n\`\`\``;

/** A schema as a table of its fields. */
function describeFields(schema: z.ZodType, io: 'input' | 'output'): string {
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  const rows = Object.entries(properties).map(
    ([name, field]) => `| \`${name}\` | ${describeType(field)} | ${required.includes(name) ? 'yes' : 'no'} |`,
  );
  return rows.length === 0 ? 'No fields.' : ['| field | what | required |', '|---|---|---|', ...rows].join('\n');
}

function describeType(field: z.core.JSONSchema._JSONSchema): string {
  if (typeof field === 'boolean') return 'any';
  const parts = [
    field.enum
      ? field.enum.map((word) => `\`${JSON.stringify(word)}\``).join(', ')
      : (field.type ?? field.anyOf?.map(describeType).join(' or ') ?? 'any JSON'),
  ];
  if (field.maxLength !== undefined) parts.push(`at most ${field.maxLength} characters`);
  if (field.minimum !== undefined && field.minimum > Number.MIN_SAFE_INTEGER) parts.push(`from ${field.minimum}`);
  if (field.maximum !== undefined && field.maximum < Number.MAX_SAFE_INTEGER) parts.push(`to ${field.maximum}`);
  if (field.default !== undefined) parts.push(`default \`${JSON.stringify(field.default)}\``);
  return parts.join(', ');
}

function describeMethod(name: (typeof hostMethodNames)[number]): string {
  const row = hostMethods[name];
  const rate = defaultRates[row.rate];
  return [
    `### ${name}`,
    row.doc,
    `Needs \`${row.capability}\` (risk ${capabilities[row.capability].risk}). Effect: ${effects[row.effect]}. Default rate: ${rate.perSecond} a second, burst ${rate.burst}. Deadline: ${row.timeoutMs / 1000} s. In the audit: ${row.auditFields.map((field) => `\`${field}\``).join(', ')}.`,
    '**Parameters**',
    describeFields(row.params, 'input'),
    '**Result**',
    describeFields(row.result, 'output'),
    `Example: \`await host.${name}(${JSON.stringify(row.sample.params)})\` answers`,
    json(row.sample.result),
  ].join('\n\n');
}

/** The manual of what plugins and supervisor say to each other, made from the tables that both run on. */
export function renderHostApi(): string {
  const capabilityRows = risks.flatMap((risk) =>
    capabilityNames
      .filter((name) => capabilities[name].risk === risk)
      .map(
        (name) =>
          `| \`${name}\` | ${risk} | ${capabilities[name].sentence} | ${
            hostMethodNames
              .filter((method) => hostMethods[method].capability === name)
              .map((method) => `\`${method}\``)
              .join(' ') || '—'
          } |`,
      ),
  );
  const errorRows = Object.entries(errorTable).map(([word, { rpc, http, title }]) => `| \`${word}\` | ${title} | ${rpc} | ${http} |`);
  const childRows = Object.entries(childMethods).map(([name, { doc, timeoutMs }]) => `| \`${name}\` | ${doc} | ${timeoutMs / 1000} s |`);
  const noticeRows = Object.entries(notifications).map(([name, { doc }]) => `| \`${name}\` | ${doc} |`);
  return `${[
    '# Host API',
    'Made by `npm run docs` from the tables in `protocol/`; do not edit. A plugin asks with JSON-RPC 2.0, one message a line; in TypeScript, `host.kv.get({ key })`.',
    `Limits: a line has at most ${wireLimits.lineBytes} bytes, nesting at most ${wireLimits.depth}; ${wireLimits.inFlight} requests may be in flight each way.`,
    '## Capabilities',
    ['| capability | risk | a plugin that holds it can | methods |', '|---|---|---|---|', ...capabilityRows].join('\n'),
    'A capability without methods may stand in a manifest; nothing of this version answers to it.',
    '## Methods a plugin may call',
    ...hostMethodNames.map(describeMethod),
    '## Methods a plugin answers',
    ['| method | what | deadline |', '|---|---|---|', ...childRows].join('\n'),
    ['| notification | what |', '|---|---|', ...noticeRows].join('\n'),
    `Exit codes with a meaning: ${Object.entries(exitCodes)
      .map(([name, code]) => `${code} ${name}`)
      .join(', ')}. With the first two the plugin is not started again.`,
    '## Errors',
    'The word in `data.code` is the contract. `data.hint` names the fix; a denial has `data.pointer` and `data.line`, the manifest line that would change it.',
    ['| word | meaning | JSON-RPC | HTTP |', '|---|---|---|---|', ...errorRows].join('\n'),
  ].join('\n\n')}\n`;
}

if (import.meta.main) {
  const rendered = renderHostApi();
  if (process.argv.includes('--check')) {
    if (readFileSync(target, 'utf8') !== rendered) {
      process.stderr.write('docs/HOST-API.md is not what the tables give: run npm run docs\n');
      process.exit(1);
    }
  } else writeFileSync(target, rendered);
}
