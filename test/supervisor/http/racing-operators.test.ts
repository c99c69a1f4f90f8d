import { dirname } from 'node:path';
import t from 'tap';
import { judgeAnswers, type Outcome, type Row, replayHistory } from '../../support/judge-race.ts';
import { id, openSupervisor } from '../../support/open-supervisor.ts';
import { makeOrders } from '../../support/race-orders.ts';
import { startApp } from './start-app.ts';

const count = Number(process.env.RACE_COUNT ?? 250);
const seed = Number(process.env.RACE_SEED ?? 20261123);

t.test(`given ${count} operators, when all change one plugin at once, then its history is legal and every answer true`, async (t) => {
  const home = await openSupervisor(t);
  const { database, supervisor, runner } = home;
  const alive = new Set<unknown>();
  const most = { alive: 0 };
  const { start } = runner;
  runner.start = async (launch, dispatch, events) => {
    const run = await start(launch, dispatch, {
      ...events,
      exited: (exit) => {
        alive.delete(run);
        events.exited(exit);
      },
    });
    alive.add(run);
    most.alive = Math.max(most.alive, alive.size);
    return run;
  };
  home.put();
  await supervisor.start();
  const app = await startApp(t, { dataDir: dirname(home.pluginDir), real: { database, supervisor } });
  const tokens = await Promise.all(Array.from({ length: count }, () => app.makeToken(['plugin:admin'])));
  const start0 = database.head().seq;

  let answered = 0;
  const offerHalfWay = async () => {
    if (++answered === count / 10) await home.offer({ version: '2.0.0' });
  };
  const outcomes = await Promise.all(
    makeOrders(id, seed, count).map(async (order, at): Promise<Outcome> => {
      const { id: actor, token } = tokens[at] ?? { id: '', token: '' };
      const from = database.head().seq;
      const headers: Record<string, string> = order.isStale ? { 'if-match': '"stale"' } : {};
      const { status, body } = await app.ask(order.method, order.path, { token, body: order.body, headers });
      const to = database.head().seq;
      await offerHalfWay();
      return { order, actor, status, body: body as Record<string, unknown>, from, to };
    }),
  );

  const rows = await database.read.all<Row>(
    "SELECT seq, actor, code, summary FROM audit WHERE kind = 'plugin.status' AND plugin = ? ORDER BY seq",
    [id],
  );
  const { history, faults } = replayHistory(rows, outcomes, { seq: start0, status: 'verified', version: '1.0.0', former: [], config: {} });
  t.same(faults, []);
  t.same(judgeAnswers(outcomes, rows, history), []);

  const last = history.at(-1);
  const stored = await home.store.get(id);
  t.match(
    { status: stored?.status, version: stored?.version, config: stored?.config, former: stored?.former.map(({ version }) => version) },
    {
      status: last?.status,
      version: last?.version,
      config: last?.config,
      former: last?.former,
    },
  );
  t.match((await app.ask('GET', `/api/plugins/${id}`)).body, { status: last?.status, version: last?.version });
  t.same((await app.ask('GET', `/api/plugins/${id}/config`)).body, last?.config);
  t.equal(
    outcomes.some(({ status }) => status >= 500),
    false,
  );
  t.ok(most.alive <= 2, 'never more than two versions at once');
  const kinds = new Set(rows.map(({ summary }) => JSON.parse(summary).change));
  for (const kind of ['status', 'restart', 'config', 'upgrade', 'rollback']) t.ok(kinds.has(kind), `there was a ${kind}`);
  await supervisor.stop();
  t.equal(alive.size, 0, 'nothing is left');
  t.comment(`${rows.length} rows, ${outcomes.filter(({ status }) => status === 200).length} done`);
});
