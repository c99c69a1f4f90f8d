import { hash } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Test } from 'tap';
import { Agent } from 'undici';
import { type Scope, scopes } from '../../../protocol/scopes.ts';
import { createHeadFile, verifyKept } from '../../../supervisor/audit-head.ts';
import { queryAudit } from '../../../supervisor/audit-query.ts';
import { createRealClock } from '../../../supervisor/clock.ts';
import { type Database, openDatabase } from '../../../supervisor/database.ts';
import { createDenialLimiter } from '../../../supervisor/denial-limiter.ts';
import { createGuardedClient } from '../../../supervisor/host/guarded-client.ts';
import { type AppDeps, createApp } from '../../../supervisor/http/app.ts';
import { type Limits, startServer } from '../../../supervisor/http/server.ts';
import { createKvStore } from '../../../supervisor/kv-store.ts';
import { verifyManifest } from '../../../supervisor/manifest-verify.ts';
import { createMarket, type MarketDeps } from '../../../supervisor/market/market.ts';
import { createRepeatedRequests } from '../../../supervisor/repeated-requests.ts';
import { createTokens } from '../../../supervisor/tokens.ts';
import { parseTrustPolicy } from '../../../supervisor/trust-policy.ts';
import { inProcess } from '../../support/market-setup.ts';
import { acmePolicy, signV1 } from '../../support/public-bundle.ts';
import { createQuietLog } from '../../support/quiet-log.ts';
import { makeKey } from '../../support/signed-bundle.ts';
import { testFolder } from '../../support/test-folder.ts';
import { createFakeSupervisor, fakeDoctor } from './fake-supervisor.ts';

/** Trusts one publisher, whose key tests may sign with. */
export const trustedKey = makeKey();
const testPolicy = parseTrustPolicy(acmePolicy(trustedKey.publicBase64));
/** A bundle of that publisher, as it is sent for verification. */
export const verifiable = {
  manifest: JSON.parse(signV1(Buffer.from('an executable'), trustedKey.privateKey).toString()) as Record<string, unknown>,
  artifact_base64: Buffer.from('an executable').toString('base64'),
};

export type Answer = { status: number; headers: Record<string, string | string[] | undefined>; text: string; body: unknown };
type Asked = { token?: string | null; body?: unknown; raw?: string | Buffer; headers?: Record<string, string> };
type Options = {
  limits?: Partial<Limits>;
  listen?: AppDeps['listen'];
  host?: string;
  dataDir?: string;
  market?: Partial<MarketDeps>;
  real?: Real;
};
/** A supervisor that is not played, with the database that it works on; who opened them closes them. */
type Real = { supervisor: AppDeps['supervisor']; database: Database };

/** The control plane on a port of its own, with the real tokens, store and audit, and a supervisor in memory unless there is a real one. */
export async function startApp(t: Test, options: Options = {}) {
  const dataDir = options.dataDir ?? testFolder(t);
  const clock = createRealClock();
  const log = createQuietLog();
  const database = options.real?.database ?? (await openDatabase({ file: join(dataDir, 'lattice.db'), clock, log }));
  const headFile = join(dataDir, 'audit.head');
  const head = createHeadFile({ file: headFile, database, clock, log });
  const denials = createDenialLimiter({ clock, append: database.append });
  const tokens = createTokens({ database, clock });
  const fake = createFakeSupervisor();
  const market = await createMarket({
    place: null,
    exemptions: [],
    maxAgeDays: 90,
    dataDir,
    client: createGuardedClient({ clock }),
    database,
    policy: () => parseTrustPolicy(Buffer.from('{}')),
    ...inProcess,
    sandbox: () => null,
    clock,
    ...options.market,
  });
  const deps: AppDeps = {
    supervisor: options.real?.supervisor ?? fake.supervisor,
    trust: {
      policy: () => testPolicy,
      verify: async (manifest, artifact) => verifyManifest(manifest, hash('sha256', artifact, 'hex'), testPolicy, 0),
    },
    market,
    tokens,
    kv: createKvStore({ database, quota: { keys: 100, bytes: 1024 * 1024 } }),
    audit: {
      query: (filter) => queryAudit(database.read, filter),
      verify: (against) => verifyKept(database.read, headFile, against),
      head: database.head,
    },
    clock,
    log,
    repeated: createRepeatedRequests({ database, clock }),
    listen: options.listen ?? { host: '127.0.0.1', port: 0 },
    deny: denials,
    version: '0.0.0-test',
    database: () => fakeDoctor.database,
    doctor: () => fakeDoctor,
  };
  const app = createApp(deps);
  const server = await startServer(app, {
    host: options.host ?? '127.0.0.1',
    port: 0,
    clock,
    ...(options.limits ? { limits: options.limits } : {}),
  });
  const admin = await tokens.create({ name: 'admin', scopes: [...scopes] }, null);
  const agent = new Agent({ pipelining: 1 });
  let stopped: Promise<void> | undefined;
  const stop = () => {
    stopped ??= (async () => {
      await server.stop(0);
      await agent.destroy();
      denials.close();
      await head.stop();
      if (!options.real) await database.close();
    })();
    return stopped;
  };
  t.teardown(stop);

  async function ask(method: string, path: string, { token = admin.token, body, raw, headers = {} }: Asked = {}): Promise<Answer> {
    const sent = raw ?? (body === undefined ? undefined : JSON.stringify(body));
    const answer = await agent.request({
      origin: server.url,
      path,
      method: method as 'GET', // undici takes any method; its type lists the usual ones
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(sent === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(sent === undefined ? {} : { body: sent }),
    });
    const text = await answer.body.text();
    return { status: answer.statusCode, headers: answer.headers, text, body: text === '' ? undefined : parseOrText(text) };
  }

  /** A bare connection, for requests that no client would send. */
  async function dial(): Promise<Socket> {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    t.teardown(() => socket.destroy());
    await once(socket, 'connect');
    return socket;
  }

  /** With headers that no client would send so, for instance twice. Answers what comes back, whole. */
  async function askRaw(method: string, path: string, body: string, headers: readonly string[]): Promise<string> {
    const socket = await dial();
    const { host } = new URL(server.url);
    const head = [
      `${method} ${path} HTTP/1.1`,
      `host: ${host}`,
      `authorization: Bearer ${admin.token}`,
      'connection: close',
      ...(body === '' ? [] : ['content-type: application/json', `content-length: ${Buffer.byteLength(body)}`]),
      ...headers,
    ];
    socket.write(`${head.join('\r\n')}\r\n\r\n${body}`, 'latin1');
    return readAll(socket);
  }

  return {
    ...fake,
    askRaw,
    app,
    server,
    url: server.url,
    dataDir,
    database,
    tokens,
    kv: deps.kv,
    log,
    admin,
    ask,
    dial,
    stop,
    makeToken: (wanted: readonly Scope[], plugin?: string) =>
      tokens.create({ name: 'test', scopes: wanted, ...(plugin ? { plugin } : {}) }, null),
    /** The audit of what was refused, with the closing rows that are due. */
    deniedRows: async (kind = 'api.denied') => {
      denials.close();
      await database.append({ kind: 'api.change' }); // rows are written in order: those before are now there
      return queryAudit(database.read, { kind, limit: 1000 });
    },
  };
}

function parseOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Everything that a connection says until it ends. */
export async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(Buffer.from(chunk)));
  socket.on('error', () => {}); // the other end may cut it
  if (!socket.closed) await once(socket, 'close');
  return Buffer.concat(chunks).toString('utf8');
}
