import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { asHostError, errorTable, HostError } from '../../../protocol/errors.ts';
import { hostMethodNames } from '../../../protocol/host-methods.ts';
import { parseJson } from '../../../protocol/parse-json.ts';
import { describeSchema } from '../../describe-schema.ts';
import { runCommand } from '../console/commands.ts';
import { describeEvent } from '../console/describe-event.ts';
import { faultTable } from '../faults/fault-table.ts';
import { faultActions } from '../faults/faults.ts';
import type { Harness } from '../harness/harness.ts';
import type { HarnessEvent } from '../harness/harness-events.ts';
import { createAccess } from './inspector-access.ts';
import { createPingWatch } from './pings.ts';

const files = {
  '/': ['page.html', 'text/html; charset=utf-8'],
  '/page.js': ['page.js', 'text/javascript; charset=utf-8'],
  '/call-form.js': ['call-form.js', 'text/javascript; charset=utf-8'],
  '/page.css': ['page.css', 'text/css; charset=utf-8'],
} as const;
const headers = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
} as const;
const rowsKept = 2000;
const bodyMost = 1024 * 1024;

export type Inspector = { url: string; show(event: HarnessEvent): void; status(text: string): void; close(): Promise<void> };

/** A page on this machine's own loopback that shows what a harness does and lets it be told what to do. */
export async function openInspector(harness: Harness, quit: () => void): Promise<Inspector> {
  const kept: { text: string; isPing: boolean }[] = [];
  const watchPings = createPingWatch();
  const readers = new Set<ServerResponse>();
  let lastStatus = '';
  const access = createAccess(() => authority);
  const frame = (name: string, value: unknown): string => `event: ${name}\ndata: ${JSON.stringify(value)}\n\n`;
  const send = (text: string): void => {
    for (const reader of readers) reader.write(text);
  };

  function follow(response: ServerResponse): void {
    response.writeHead(200, { ...headers, 'content-type': 'text/event-stream' });
    response.write(frame('plugin', describePlugin(harness)) + frame('status', lastStatus) + kept.map(({ text }) => text).join(''));
    readers.add(response);
    response.on('close', () => readers.delete(response));
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    access.checkSource(request);
    const { pathname } = new URL(request.url ?? '/', 'http://inspector');
    const route = `${request.method} ${pathname}`;
    if (request.method === 'GET' && Object.hasOwn(files, pathname)) {
      const [name, type] = files[pathname as keyof typeof files]; // just looked up
      response.writeHead(200, { ...headers, 'content-type': type }).end(readFileSync(new URL(name, import.meta.url)));
      return;
    }
    if (route === 'POST /session') {
      const { token } = await readBody(request);
      return sendJson(response, 200, {}, { 'set-cookie': access.exchange(token) });
    }
    access.checkCookie(request);
    if (route === 'GET /events') return follow(response);
    if (route === 'GET /kv') return sendJson(response, 200, harness.redact(await harness.kv()));
    if (route !== 'POST /command') throw new HostError('not-found', 'there is no such page');
    const { text } = await readBody(request);
    const said: string[] = [];
    const onCallFailed = ({ message }: HostError) => void said.push(message);
    await runCommand(String(text), { harness, print: (line) => void said.push(line), quit, onCallFailed });
    if (said.length > 0) throw new HostError('invalid-params', said.join('\n'));
    sendJson(response, 200, {});
  }

  /** Pings go first: an idle hour of them must not push out what happened before it. */
  function forgetOne(): void {
    kept.splice(
      Math.max(
        0,
        kept.findIndex(({ isPing }) => isPing),
      ),
      1,
    );
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((thrown: unknown) => {
      const { code, message, details } = asHostError(thrown);
      if (!response.headersSent) sendJson(response, errorTable[code].http, { code, detail: message, hint: details.hint });
    });
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const authority = `127.0.0.1:${(server.address() as AddressInfo).port}`; // it listens on a port

  return {
    url: `http://${authority}/#${access.token()}`,
    show(event) {
      const isPing = watchPings(event);
      const lines = describeEvent(event, { paint: (_colour, text) => text, width: 300 });
      if (lines.length === 0) return;
      const text = frame('row', { event, lines, isPing });
      kept.push({ text, isPing });
      if (kept.length > rowsKept) forgetOne();
      send(event.kind === 'state' && event.to === 'ready' ? frame('plugin', describePlugin(harness)) + text : text);
    },
    status(text) {
      if (text === lastStatus) return;
      lastStatus = text;
      send(frame('status', text));
    },
    close() {
      for (const reader of readers) reader.end();
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

function sendJson(response: ServerResponse, status: number, value: unknown, more: Record<string, string> = {}): void {
  response.writeHead(status, { ...headers, ...more, 'content-type': 'application/json' }).end(JSON.stringify(value));
}

async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  const tooLarge = () => new HostError('payload-too-large', `a request is at most ${bodyMost} bytes`);
  if (Number(request.headers['content-length'] ?? 0) > bodyMost) throw tooLarge();
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length; // a request without an encoding gives buffers
    if (bytes > bodyMost) throw tooLarge();
    chunks.push(chunk as Buffer);
  }
  try {
    const value: unknown = parseJson(Buffer.concat(chunks).toString('utf8'));
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // told below
  }
  throw new HostError('invalid-params', 'the request is not a JSON object');
}

/** What the page builds its forms from. */
function describePlugin(harness: Harness): object {
  const manifest = harness.state() === 'stopped' && harness.view() === null ? null : harness.manifest();
  return {
    name: manifest?.name ?? 'no plugin yet',
    version: manifest?.version ?? '',
    methods: (manifest?.services ?? []).flatMap(({ name, methods }) =>
      methods.map((method) => ({
        name: `${name}.${method.name}`,
        effect: method.effect,
        timeout_ms: method.timeout_ms ?? 30_000,
        params: method.params ?? null,
        takes: method.params ? describeSchema(method.params) : 'anything',
        gives: method.result ? describeSchema(method.result) : 'anything',
      })),
    ),
    actions: Object.fromEntries(Object.entries(faultActions).map(([action, { doc }]) => [action, doc])),
    steps: [...new Set([...hostMethodNames, ...Object.keys(faultTable).filter((step) => !step.startsWith('tool.'))])],
  };
}
