import { constants, type FileHandle, open } from 'node:fs/promises';
import { isIP } from 'node:net';
import { z } from 'zod';
import { asHostError, HostError } from '../../protocol/errors.ts';
import { idPattern } from '../../protocol/manifest.ts';
import { parseStrict } from '../../protocol/strict-json.ts';
import { type Exemption, isPlainName, parseExemption } from '../host/egress-rules.ts';
import { checkHeaders, parseTarget } from '../host/fetch-request.ts';

const fileBytes = 256 * 1024;

const ownHeaders: readonly string[] = ['content-type', 'idempotency-key']; // a delivery sets these itself
const plugins = z.array(z.string().regex(idPattern, 'is a plugin id')).max(256);
const address = z
  .string()
  .max(254)
  .regex(/^[^\s<>()[\],;:\\"@\p{Cc}]+@[A-Za-z0-9.-]+$/u, 'is a plain address like ops@example.com');
const smtpHost = z.string().refine((host) => isIP(host) !== 0 || isPlainName(host), 'is a lower-case DNS name or an address');
const loopbackHosts: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '::1']);

const exemption = z.string().transform((text, context): Exemption => {
  const parsed = parseExemption(text);
  if (typeof parsed !== 'string') return parsed;
  context.addIssue({ code: 'custom', message: parsed });
  return z.NEVER;
});

const headers = z.record(z.string(), z.string()).transform((given, context) => {
  try {
    const checked = checkHeaders(given);
    if (!ownHeaders.some((name) => Object.hasOwn(checked, name))) return checked;
    context.addIssue({ code: 'custom', message: `${ownHeaders.join(' and ')} are set by the delivery` });
  } catch (thrown) {
    context.addIssue({ code: 'custom', message: asHostError(thrown).message });
  }
  return z.NEVER;
});

const url = z
  .string()
  .max(2048)
  .transform((text, context): URL => {
    try {
      return parseTarget(text);
    } catch (thrown) {
      context.addIssue({ code: 'custom', message: asHostError(thrown).message });
      return z.NEVER;
    }
  });

const webhook = z
  .strictObject({
    type: z.literal('webhook'),
    url,
    headers: headers.default({}),
    plugins,
    allow_private: z.array(exemption).max(32).default([]), // networks as in LATTICE_EGRESS_ALLOW, without the id
  })
  .refine((row) => row.url.protocol === 'https:' || row.allow_private.length > 0, {
    path: ['url'],
    message: 'is https; http only with allow_private, to a network of yours',
  });

const log = z.strictObject({ type: z.literal('log'), plugins });

const email = z
  .strictObject({
    type: z.literal('email'),
    host: smtpHost,
    port: z.int().min(1).max(65_535),
    secure: z.boolean().default(false), // true: TLS from the first byte (465); false: STARTTLS
    allow_plaintext: z.boolean().default(false),
    user: z.string().min(1).max(256).optional(),
    password: z.string().min(1).max(1024).optional(),
    from: address,
    to: z.array(address).min(1).max(16),
    plugins,
  })
  .refine((row) => (row.user === undefined) === (row.password === undefined), { path: ['password'], message: 'goes with user' })
  .refine((row) => row.password === undefined || !row.allow_plaintext, {
    path: ['allow_plaintext'],
    message: 'is not for a channel with a password',
  })
  .transform((row) => ({
    ...row,
    requireTls: !row.secure && !row.allow_plaintext && (row.password !== undefined || !loopbackHosts.has(row.host)),
  }));

const schema = z.strictObject({
  channels: z
    .record(z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'is a channel name'), z.discriminatedUnion('type', [webhook, log, email]))
    .refine((all) => Object.keys(all).length <= 64, 'at most 64 channels'),
});

export type Channel = z.output<typeof schema>['channels'][string];
export type WebhookChannel = z.output<typeof webhook>;
export type EmailChannel = z.output<typeof email>;
export type Channels = ReadonlyMap<string, Channel>;

export const noChannels: Channels = new Map();

const refuse = (detail: string): HostError =>
  new HostError('invalid-params', `LATTICE_NOTIFY_CHANNELS: ${detail}`, {
    rule: 'channels-file',
    hint: 'mend the file and start the service again',
  });

/** Reads the channels file. It holds secrets: it must be a file of the given user that nobody else may read. */
export async function loadChannels(deps: { file: string; uid: number }): Promise<Channels> {
  // O_NONBLOCK: opening a pipe would otherwise wait for its writer for ever.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const handle = await open(deps.file, flags).catch((error: NodeJS.ErrnoException) => {
    throw refuse(error.code === 'ELOOP' ? 'is a symbolic link' : `cannot be opened (${error.code ?? 'unknown'})`);
  });
  try {
    return parseChannels(await readPrivate(handle, deps.uid));
  } finally {
    await handle.close();
  }
}

async function readPrivate(handle: FileHandle, uid: number): Promise<Buffer> {
  const stats = await handle.stat();
  if (!stats.isFile()) throw refuse('is not a regular file');
  if (stats.uid !== uid) throw refuse(`belongs to uid ${stats.uid}, not to the service’s own (${uid})`);
  if ((stats.mode & 0o077) !== 0) throw refuse('can be read or written by others; set its mode to 0600');
  const buffer = Buffer.alloc(fileBytes + 1); // one more than allowed: the size may change between stat and read
  let bytes = 0;
  for (;;) {
    const { bytesRead } = await handle.read(buffer, bytes, buffer.length - bytes);
    if (bytesRead === 0) return buffer.subarray(0, bytes);
    bytes += bytesRead;
    if (bytes > fileBytes) throw refuse(`is over ${fileBytes} bytes`);
  }
}

/** Parses the file's bytes. All faults come in one message, each by its JSON pointer; a value is never repeated. */
export function parseChannels(bytes: Uint8Array): Channels {
  const parsed = parseStrict(bytes);
  if (!parsed.ok) throw refuse(parsed.detail);
  const checked = schema.safeParse(parsed.value);
  if (checked.success) return new Map(Object.entries(checked.data.channels));
  throw refuse(checked.error.issues.flatMap(describeIssue).join('; '));
}

function describeIssue(issue: z.core.$ZodIssue): string[] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => `${pointerTo([...issue.path, key])}: unknown field`);
  return [`${pointerTo(issue.path)}: ${issue.message}`];
}

const pointerTo = (path: readonly PropertyKey[]): string =>
  path.length === 0
    ? '/'
    : path
        .map(
          (part) =>
            `/${String(part)
              .slice(0, 64)
              .replace(/[^\x20-\x7e]/g, '?')
              .replaceAll('~', '~0')
              .replaceAll('/', '~1')}`,
        )
        .join('');
