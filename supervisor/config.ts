import { isAbsolute, resolve } from 'node:path';
import { z } from 'zod';
import { HostError } from '../protocol/errors.ts';
import { defaultRates } from '../protocol/host-methods.ts';
import { type Exemption, parseExemption } from './host/egress-rules.ts';
import { logLevels } from './log.ts';
import { type Policy, readPolicy } from './policy.ts';

export const sandboxChoices = ['auto', 'isolated+cgroup', 'isolated', 'restricted', 'none'] as const;
export const runnerChoices = ['noop', 'subprocess'] as const;

export type Config = Readonly<{
  listen: Readonly<{ host: string; port: number }>;
  dataDir: string;
  pluginDir: string;
  trustFile: string;
  runner: (typeof runnerChoices)[number];
  sandbox: (typeof sandboxChoices)[number];
  warmChildren: number;
  egressAllow: string;
  marketIndex: string | null;
  marketAllow: readonly Exemption[];
  notifyChannels: string | null;
  auditHead: Readonly<{ channel: string; everyMs: number }> | null;
  allowUnsigned: boolean;
  runAs: string | null;
  allowRoot: boolean;
  policy: Policy;
  logLevel: (typeof logLevels)[number];
}>;

const absolute = (name: string) =>
  z
    .string()
    .refine(isAbsolute, `${name} must be an absolute path`)
    .transform((path) => resolve(path));
const flag = z.enum(['', '0', '1'], 'is 1 or 0').transform((text) => text === '1');

function parseListen(text: string, context: z.RefinementCtx): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65535) {
    context.addIssue({ code: 'custom', message: 'is host:port, like 127.0.0.1:8088 or [::1]:8088; port 0 lets the kernel choose' });
    return z.NEVER;
  }
  return { host: match[1] ?? match[2] ?? '', port };
}

function isPlace(text: string): boolean {
  const url = URL.parse(text);
  return isAbsolute(text) || (url?.protocol === 'https:' && url.username + url.password + url.search + url.hash === '');
}

function parseNetworks(text: string, context: z.RefinementCtx): Exemption[] {
  const entries = text.split(',').map((entry) => entry.trim());
  return entries
    .filter((entry) => entry !== '')
    .flatMap((entry) => {
      const parsed = parseExemption(entry);
      if (typeof parsed !== 'string') return [parsed];
      context.addIssue({ code: 'custom', message: `"${entry.slice(0, 120).replace(/[^\x20-\x7e]/g, '?')}": ${parsed}` });
      return [];
    });
}

const schema = z.strictObject({
  LATTICE_LISTEN: z.string().default('127.0.0.1:8088').transform(parseListen),
  LATTICE_DATA_DIR: absolute('the data directory'),
  LATTICE_PLUGIN_DIR: absolute('the plugin directory'),
  LATTICE_PLUGIN_TRUST: absolute('the trust policy'),
  LATTICE_RUNNER: z.enum(runnerChoices).default('subprocess'),
  LATTICE_SANDBOX: z.enum(sandboxChoices).default('isolated'),
  LATTICE_WARM_CHILDREN: z
    .string()
    .regex(/^(?:[0-9]|1[0-6])$/, 'is a number from 0 to 16')
    .transform(Number)
    .default(1),
  LATTICE_EGRESS_ALLOW: z.string().default(''),
  LATTICE_MARKET_INDEX: z.string().refine(isPlace, 'must be an absolute path, or an https URL without user, query or fragment').optional(),
  LATTICE_MARKET_ALLOW: z.string().default('').transform(parseNetworks),
  LATTICE_NOTIFY_CHANNELS: absolute('the channels file').optional(),
  LATTICE_AUDIT_HEAD_CHANNEL: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'is the name of a channel')
    .optional(),
  LATTICE_AUDIT_HEAD_SECONDS: z
    .string()
    .regex(/^[0-9]{1,6}$/, 'is a number of seconds')
    .transform(Number)
    .refine((seconds) => seconds >= 10 && seconds <= 604_800, 'is from 10 to 604800')
    .default(3600),
  LATTICE_ALLOW_UNSIGNED: flag.default(false),
  LATTICE_RUN_AS: z
    .string()
    .regex(/^[a-z_][a-z0-9_-]{0,31}$/, 'is the name of a user')
    .optional(),
  LATTICE_ALLOW_ROOT: flag.default(false),
  LATTICE_POLICY: absolute('the policy file').optional(),
  LATTICE_LOG_LEVEL: z.enum(logLevels).default('info'),
});

const needsChannels = (given: { LATTICE_AUDIT_HEAD_CHANNEL?: string | undefined; LATTICE_NOTIFY_CHANNELS?: string | undefined }) =>
  given.LATTICE_AUDIT_HEAD_CHANNEL === undefined || given.LATTICE_NOTIFY_CHANNELS !== undefined;

/** Settings of the command line client, which the service itself does not read. */
const clientSettings = new Set(['LATTICE_URL', 'LATTICE_TOKEN_FILE']);

/** Reads `LATTICE_*` of the environment. All faults come in one message, so that an operator mends them in one go. */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.fromEntries(
    Object.entries(environment).filter(
      ([name, value]) => name.startsWith('LATTICE_') && value !== undefined && value !== '' && !clientSettings.has(name),
    ),
  );
  const parsed = schema.safeParse(given);
  const faults = parsed.success ? [] : parsed.error.issues.map(describeIssue);
  if (!needsChannels(given)) faults.push('LATTICE_AUDIT_HEAD_CHANNEL needs LATTICE_NOTIFY_CHANNELS, the file that defines it');
  let policy: Policy | null = null;
  try {
    policy = readPolicy(given.LATTICE_POLICY ?? null, defaultRates);
  } catch (error) {
    faults.push(`LATTICE_POLICY: ${error instanceof Error ? error.message : 'unreadable'}`);
  }
  if (!parsed.success || policy === null || faults.length > 0)
    throw new HostError(
      'invalid-params',
      `the configuration has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:\n  ${faults.join('\n  ')}`,
      { faults },
    );
  const env = parsed.data;
  return Object.freeze({
    listen: Object.freeze(env.LATTICE_LISTEN),
    dataDir: env.LATTICE_DATA_DIR,
    pluginDir: env.LATTICE_PLUGIN_DIR,
    trustFile: env.LATTICE_PLUGIN_TRUST,
    runner: env.LATTICE_RUNNER,
    sandbox: env.LATTICE_SANDBOX,
    warmChildren: env.LATTICE_WARM_CHILDREN,
    egressAllow: env.LATTICE_EGRESS_ALLOW,
    marketIndex: env.LATTICE_MARKET_INDEX ?? null,
    marketAllow: Object.freeze(env.LATTICE_MARKET_ALLOW),
    notifyChannels: env.LATTICE_NOTIFY_CHANNELS ?? null,
    auditHead:
      env.LATTICE_AUDIT_HEAD_CHANNEL === undefined
        ? null
        : Object.freeze({ channel: env.LATTICE_AUDIT_HEAD_CHANNEL, everyMs: env.LATTICE_AUDIT_HEAD_SECONDS * 1000 }),
    allowUnsigned: env.LATTICE_ALLOW_UNSIGNED,
    runAs: env.LATTICE_RUN_AS ?? null,
    allowRoot: env.LATTICE_ALLOW_ROOT,
    policy,
    logLevel: env.LATTICE_LOG_LEVEL,
  });
}

function describeIssue(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') return `${issue.keys.join(', ')}: no such setting`;
  const name = String(issue.path[0] ?? 'LATTICE_*');
  if (issue.code === 'invalid_type') return `${name} is not set`;
  if (issue.code === 'invalid_value') return `${name} is one of ${issue.values.map((value) => JSON.stringify(value)).join(', ')}`;
  return `${name} ${issue.message}`;
}
