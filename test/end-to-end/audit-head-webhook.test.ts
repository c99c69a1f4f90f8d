import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { findReportChannel } from '../../supervisor/audit-head-reports.ts';
import { parseChannels } from '../../supervisor/notify/channels.ts';
import { openConnection, openModes } from '../../supervisor/sqlite-connection.ts';
import { serveHttp } from '../support/local-servers.ts';
import { runVerb } from '../support/run-cli.ts';
import { createHome, startService } from '../support/start-service.ts';

const headForm = { seq: Number, head: /^[0-9a-f]{64}$/, at: /^\d{4}-\d\d-\d\dT/ };

t.test('given a webhook for the head of the audit, when the service runs, then what it gets proves a cut afterwards', async (t) => {
  const home = createHome(t);
  const twice = Promise.withResolvers<void>();
  const receiver = await serveHttp(t, (_seen, response, count) => {
    response.writeHead(count === 1 ? 500 : 204).end();
    if (count === 2) twice.resolve();
  });
  const channels = join(home.root, 'channels.json');
  const hook = {
    type: 'webhook',
    url: `http://127.0.0.1:${receiver.port}/head`,
    allow_private: [`127.0.0.1:${receiver.port}`],
    plugins: [],
  };
  writeFileSync(channels, JSON.stringify({ channels: { head: hook } }), { mode: 0o600 });
  const env = { LATTICE_RUNNER: 'noop', LATTICE_NOTIFY_CHANNELS: channels, LATTICE_AUDIT_HEAD_CHANNEL: 'head' };

  const service = await startService(home, { env });
  await twice.promise; // the first was refused, and tried again
  service.signal('SIGTERM');
  await service.exited;

  const [refused, sent] = receiver.seen.map(({ body }) => JSON.parse(body));
  t.match(refused, headForm);
  t.match(sent, headForm);
  t.match(receiver.seen[1]?.headers, { 'content-type': 'application/json', 'idempotency-key': /^audit-head-/ });
  t.notMatch(service.output(), new RegExp(`:${receiver.port}`), 'the address stays out of the log');
  const kept = join(home.root, 'kept.json');
  writeFileSync(kept, receiver.seen[1]?.body ?? '');
  const verify = () => runVerb(['audit', 'verify', '--offline', '--against', kept], { LATTICE_DATA_DIR: home.dataDir });
  t.match(await verify(), { exitCode: 0, stdout: /complete up to row/ });
  await cutAudit(join(home.dataDir, 'lattice.db'), sent.seq);
  t.match(await verify(), { exitCode: 5 });
});

t.test(
  'given a channel that is no webhook, or none, when it is to get the head, then the start is refused with the setting by name',
  async (t) => {
    const channels = parseChannels(Buffer.from(JSON.stringify({ channels: { here: { type: 'log', plugins: [] } } })));
    for (const name of ['here', 'absent'])
      t.throws(() => findReportChannel(channels, name), {
        code: 'invalid-params',
        message: /^LATTICE_AUDIT_HEAD_CHANNEL: /,
        details: { hint: /webhook/ },
      });
  },
);

/** As somebody would who can write every file: the rows, the guard and the kept head. */
async function cutAudit(file: string, from: number): Promise<void> {
  const connection = await openConnection(file, openModes.write);
  await connection.exec(`DROP TRIGGER audit_no_delete; DELETE FROM audit WHERE seq >= ${from}`);
  const last = await connection.get<{ seq: number; hash: string }>('SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1');
  await connection.close();
  writeFileSync(join(file, '../audit.head'), JSON.stringify(last));
}
