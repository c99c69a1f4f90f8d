import { Agent } from 'undici';
import { type Held, judgeAnswers, type Outcome, type Row, replayHistory } from '../../test/support/judge-race.ts';
import { findDescendants, isAlive } from '../../test/support/process-tree.ts';
import { makeOrders, type Order } from '../../test/support/race-orders.ts';
import { readChild } from '../../test/support/sign-bundle.ts';
import { createHome, startService, type TestService } from '../../test/support/start-service.ts';

/**
 * `node racing-operators.ts [count] [seed]`: so many operators, each with a token of its own, change one plugin of a real service at once, with real
 * children in their cages. Prints a line of JSON, and exits 1 when the history is not legal, an answer not true, or a process left.
 */
const count = Number(process.argv[2] ?? 1000);
const seed = Number(process.argv[3] ?? 20261123);
const id = 'test.tool';
const tool = { id, source: readChild('tool.js'), capabilities: ['kv:read'], services: { tool: ['echo'] } };
const tokensAtOnce = 50;
const rowsOfPage = 1000;

type Operator = { id: string; token: string };
type Said = { status: number; body: Record<string, unknown> };

async function makeOperators(service: TestService): Promise<Operator[]> {
  const all: Operator[] = [];
  while (all.length < count) {
    const asked = Array.from({ length: Math.min(tokensAtOnce, count - all.length) }, () =>
      service.api('POST', '/api/tokens', { name: 'racer', scopes: ['plugin:admin', 'audit:read'] }),
    );
    for (const { status, body } of await Promise.all(asked))
      if (status === 201) all.push({ id: String(body.id), token: String(body.token) });
  }
  return all;
}

/** Sends as one operator; over connections enough for all at once, and with patience for the last in the queue. */
function createSender(url: string) {
  const agent = new Agent({ connections: 500, headersTimeout: 0, bodyTimeout: 0 });
  async function send(
    { token }: Operator,
    method: Order['method'] | 'GET',
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Said> {
    const typed = body === undefined ? {} : { 'content-type': 'application/json' };
    const answer = await agent.request({
      origin: url,
      path,
      method,
      headers: { authorization: `Bearer ${token}`, ...typed, ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.statusCode, body: (await answer.body.json()) as Said['body'] }; // the service answers JSON
  }
  return { send, close: () => agent.close() };
}

async function race(service: TestService, offer: () => Promise<unknown>): Promise<Outcome[]> {
  const operators = await makeOperators(service);
  const { send, close } = createSender(service.url);
  let answered = 0;
  const outcomes = makeOrders(id, seed, count).map(async (order, at): Promise<Outcome> => {
    const operator = operators[at];
    if (!operator) throw new Error('there are fewer operators than orders');
    const head = async () => Number((await send(operator, 'GET', '/api/audit/head')).body.seq);
    const from = await head();
    const said = await send(operator, order.method, order.path, order.body, order.isStale ? { 'if-match': '"stale"' } : {});
    const to = await head();
    if (++answered === Math.floor(count / 10)) await offer();
    return { order, actor: operator.id, ...said, from, to };
  });
  return Promise.all(outcomes).finally(close);
}

async function readRows(service: TestService): Promise<Row[]> {
  const rows: Row[] = [];
  for (let after = 0; ; ) {
    const { body } = await service.api('GET', `/api/audit?kind=plugin.status&plugin=${id}&order=oldest&limit=${rowsOfPage}&after=${after}`);
    const page = body as { rows: Row[]; next: number | null };
    rows.push(...page.rows);
    if (page.next === null) return rows;
    after = page.next;
  }
}

/** What the store says at the end, in the words of the history. */
async function compareEnd(service: TestService, last: Held): Promise<string[]> {
  const { status, version } = await service.show(id);
  const { body: config } = await service.api('GET', `/api/plugins/${id}/config`);
  const [held, told] = [JSON.stringify([last.status, last.version, last.config]), JSON.stringify([status, version, config])];
  return held === told ? [] : [`the history ends with ${held}, the store holds ${told}`];
}

async function main(home: ReturnType<typeof createHome>): Promise<string[]> {
  home.place(tool);
  const service = await startService(home);
  const seq = Number((await service.api('GET', '/api/audit/head')).body.seq);
  const beganMs = performance.now();
  const outcomes = await race(service, async () => {
    home.place({ ...tool, more: { version: '2.0.0' } });
    await service.api('POST', '/api/plugins/rescan');
  });
  const seconds = Math.round((performance.now() - beganMs) / 100) / 10;
  const rows = await readRows(service);
  const start: Held = { seq, status: 'verified', version: '1.0.0', former: [], config: {} };
  const { history, faults } = replayHistory(rows, outcomes, start);
  faults.push(...judgeAnswers(outcomes, rows, history), ...(await compareEnd(service, history.at(-1) ?? start)));
  const children = findDescendants(service.pid);
  service.signal('SIGTERM');
  await service.exited;
  const left = children.filter(isAlive).length;
  if (left > 0) faults.push(`${left} processes are left`);
  const counts = Object.fromEntries(
    Map.groupBy(outcomes, ({ status }) => status)
      .entries()
      .map(([status, all]) => [status, all.length]),
  );
  console.log(JSON.stringify({ racing_operators: count, seed, seconds, answers: counts, rows: rows.length, left, faults: faults.length }));
  return faults;
}

const teardowns: (() => unknown)[] = [];
const home = createHome({ teardown: (run) => void teardowns.push(run) });
try {
  const faults = await main(home);
  for (const fault of faults.slice(0, 20)) console.log(fault);
  process.exitCode = faults.length === 0 ? 0 : 1;
} finally {
  for (const teardown of teardowns) await teardown();
}
