import { join } from 'node:path';
import { type Connection, openConnection, openModes } from '../../../supervisor/sqlite-connection.ts';
import { settle } from './register.ts';
import { type Bucket, bucketKeys, type Entry, type PluginModel, type PluginState, type Service, type World } from './world.ts';

/** Each finds what must not be there. One statement sees one moment, while the service works on. */
const impossible: Readonly<Record<string, string>> = {
  'a counter of a bucket that its entries do not bear out': `SELECT b.bucket FROM kv_buckets b LEFT JOIN kv_entries e ON e.bucket = b.bucket
     GROUP BY b.bucket HAVING b.keys <> count(e.key) OR b.bytes <> coalesce(sum(e.bytes), 0) OR b.revision < coalesce(max(e.revision), 0)`,
  'a bucket with writes that the audit does not have, or fewer': `SELECT b.bucket, b.revision, count(a.seq) AS recorded FROM kv_buckets b
     LEFT JOIN audit a ON a.method = 'kv.put' AND a.code IS NULL AND (a.verdict = 'allow' OR a.kind = 'kv.change')
       AND (b.bucket = 'plugin:' || a.plugin OR (a.kind = 'kv.change' AND b.bucket = 'operator'))
     GROUP BY b.bucket HAVING b.revision <> recorded`,
  'an entry without a bucket': 'SELECT bucket, key FROM kv_entries WHERE bucket NOT IN (SELECT bucket FROM kv_buckets)',
  'messages that the audit does not have, or fewer': `SELECT (SELECT count(*) FROM outbox) AS messages,
     (SELECT count(*) FROM audit WHERE method = 'notify.send' AND verdict = 'allow') AS recorded WHERE messages <> recorded`,
  'deliveries that the audit does not have, or fewer': `SELECT (SELECT count(*) FROM outbox WHERE state = 'sent') AS messages,
     (SELECT count(*) FROM audit WHERE kind = 'notify.delivery' AND code = 'sent') AS recorded WHERE messages <> recorded`,
  'an effect outside that stays without an outcome, or has two': `SELECT d.request_id FROM audit d LEFT JOIN audit o ON o.kind = 'host.outcome' AND o.request_id = d.request_id
     WHERE d.kind = 'host.decision' AND d.method = 'http.fetch' AND d.verdict = 'allow' GROUP BY d.seq HAVING count(o.seq) <> 1`,
  'a decision that is open': 'SELECT request_id FROM open_decisions',
  'a plugin that is not what was consented to last': `SELECT p.id FROM plugins p WHERE p.bundle_sha256 IS NOT (SELECT bundle_sha256 FROM consents
     WHERE plugin = p.id AND kind <> 'transfer' ORDER BY seq DESC LIMIT 1)`,
  'consents that the audit does not have, or fewer': `SELECT p.id, (SELECT count(*) FROM consents WHERE plugin = p.id) AS consents,
     (SELECT count(*) FROM audit a WHERE a.kind = 'plugin.status' AND a.plugin = p.id AND a.code IS NULL AND (a.summary ->> 'change' IN ('upgrade', 'downgrade', 'rollback')
       OR a.summary ->> 'to' = 'installed')) AS recorded FROM plugins p WHERE consents <> recorded`,
  'a status that is not the last one in the audit': `SELECT p.id, p.status, (SELECT a.summary ->> 'to' FROM audit a WHERE a.kind = 'plugin.status' AND a.plugin = p.id
       AND a.summary ->> 'change' IN ('status', 'restart') ORDER BY a.seq DESC LIMIT 1) AS recorded FROM plugins p WHERE p.status IS NOT recorded`,
};

/** After a restart, before anything is asked: compares what is there with what is known, and adds each difference to the violations. */
export async function judge(world: World, service: Service): Promise<void> {
  const { violations } = world;
  const db = await openConnection(join(world.home.dataDir, 'lattice.db'), openModes.read);
  try {
    await db.all('PRAGMA busy_timeout = 5000');
    for (const [what, sql] of Object.entries(impossible)) {
      const rows = await db.all(sql);
      if (rows.length > 0) violations.push(`${what}: ${JSON.stringify(rows.slice(0, 3))}`);
    }
    for (const plugin of world.plugins) await judgePlugin(world, plugin, db);
    for (const bucket of [world.operator, ...world.plugins.map((plugin) => plugin.bucket)]) await judgeBucket(world, bucket, db);
    await judgeTokens(world, db);
  } finally {
    await db.close();
  }
  await judgeAnswers(world, service);
}

const numberOf = (version: string): number => Number(version.split('.').at(-1));

async function judgePlugin({ violations, fetched }: World, plugin: PluginModel, db: Connection): Promise<void> {
  type Row = { status: PluginState['status']; version: string; config: string; generation: number };
  const row = await db.get<Row>('SELECT status, version, config, generation FROM plugins WHERE id = ?', [plugin.id]);
  const former = await db.all<{ version: string }>('SELECT version FROM former_bundles WHERE plugin = ? ORDER BY seq DESC', [plugin.id]);
  const found: PluginState = {
    status: row?.status ?? 'verified',
    version: row ? numberOf(row.version) : 0,
    former: former.map(({ version }) => numberOf(version)),
    config: row ? Number((JSON.parse(row.config) as { n?: number }).n ?? 0) : 0,
  };
  const expected = JSON.stringify(plugin.state);
  if (!settle(plugin.state, found)) violations.push(`${plugin.id} is ${JSON.stringify(found)}, not ${expected}`);
  if ((row?.generation ?? 0) < plugin.generation) violations.push(`${plugin.id} counts generations anew`);
  plugin.generation = row?.generation ?? 0;
  const decided = await db.get<{ n: number }>(
    "SELECT count(*) AS n FROM audit WHERE kind = 'host.decision' AND method = 'http.fetch' AND plugin = ?",
    [plugin.id],
  );
  const arrived = fetched.get(plugin.id) ?? 0;
  if (arrived > (decided?.n ?? 0)) violations.push(`${plugin.id} fetched ${arrived} times, and the audit has ${decided?.n}`);
}

async function judgeBucket({ violations }: World, bucket: Bucket, db: Connection): Promise<void> {
  const counters = await db.get<{ revision: number }>('SELECT revision FROM kv_buckets WHERE bucket = ?', [bucket.name]);
  for (const key of bucketKeys) {
    const register = bucket.entries.get(key);
    const found =
      (await db.get<NonNullable<Entry>>('SELECT value, revision FROM kv_entries WHERE bucket = ? AND key = ?', [bucket.name, key])) ?? null;
    const expected = JSON.stringify(register);
    if (register && !settle(register, found)) violations.push(`${bucket.name} has ${key} ${JSON.stringify(found)}, not ${expected}`);
  }
  if ((counters?.revision ?? 0) < bucket.revision) violations.push(`${bucket.name} gives out revisions again`);
  bucket.revision = counters?.revision ?? 0;
}

async function judgeTokens({ tokens, tokenIds, violations }: World, db: Connection): Promise<void> {
  const rows = await db.all<{ id: string; name: string; revoked_at: string | null }>(
    "SELECT id, name, revoked_at FROM tokens WHERE name <> 'admin'",
  );
  const byName = new Map(rows.map((row) => [row.name, row]));
  for (const [name, register] of tokens) {
    const row = byName.get(name);
    const expected = JSON.stringify(register);
    const found = row === undefined ? 'none' : row.revoked_at === null ? 'live' : 'revoked';
    if (!settle(register, found)) violations.push(`${name} is ${found}, not ${expected}`);
    if (row) tokenIds.set(name, row.id);
    if (found !== 'live') tokens.delete(name);
  }
}

/** What the service answers is what it holds. */
async function judgeAnswers({ plugins, violations }: World, service: Service): Promise<void> {
  const verified = (await service.api('GET', '/api/audit/verify')).body;
  if (verified.ok !== true) violations.push(`the chain of the audit: ${JSON.stringify(verified)}`);
  const listed = (await service.api('GET', '/api/plugins/lifecycle')).body as unknown as { id: string; status: string; version: string }[];
  for (const { id, state } of plugins) {
    const shown = listed.find((one) => one.id === id);
    if (shown?.status !== state.known.status) violations.push(`${id} is shown as ${shown?.status}, and is ${state.known.status}`);
  }
}
