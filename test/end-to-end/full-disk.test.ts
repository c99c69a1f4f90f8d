import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { eventually } from '../support/eventually.ts';
import { makeDatabase } from '../support/make-database.ts';
import { readChild } from '../support/sign-bundle.ts';
import { mountSmallDisk, skipWithoutMount } from '../support/small-disk.ts';
import { type Answer, createHome, startInVain, startService, type TestService } from '../support/start-service.ts';

const services = { tool: ['echo', 'put', 'get', 'notify'] };
const capabilities = ['kv:read', 'kv:write', 'notify:send'];

/** Stores entries until one is refused; what was acknowledged is the model that the store is held against. */
async function storeUntilRefused(service: TestService, acknowledged: Map<string, string>): Promise<Answer> {
  for (let count = 0; ; count++) {
    const [key, value] = [`key-${count}`, `value ${count} `.repeat(300)];
    const answer = await service.api('PUT', `/api/kv/ops/${key}`, { value });
    if (answer.status !== 200) return answer;
    acknowledged.set(key, value);
  }
}

async function findLost(service: TestService, acknowledged: ReadonlyMap<string, string>): Promise<string[]> {
  const lost: string[] = [];
  for (const [key, value] of acknowledged) if ((await service.api('GET', `/api/kv/ops/${key}`)).body.value !== value) lost.push(key);
  return lost;
}

/** Whatever changes something, by name: each must be refused while nothing can be recorded. */
const effects = (service: TestService): Record<string, () => Promise<Answer>> => ({
  'storing an entry': () => service.api('PUT', '/api/kv/ops/late', { value: 'x' }),
  'deleting an entry': () => service.api('DELETE', '/api/kv/ops/key-0'),
  activating: () => service.setStatus('test.idle', 'active'),
  'changing the settings': () => service.api('PUT', '/api/plugins/test.idle/config', { loud: true }),
  resetting: () => service.api('POST', '/api/plugins/test.live/reset'),
  'making a token': () => service.api('POST', '/api/tokens', { name: 'late', scopes: ['audit:read'] }),
});
const asks = (service: TestService): Record<string, () => Promise<Answer>> => ({
  'kv.put of a plugin': () => service.call('test.live', 'tool', 'put', { key: 'late', value: 'x' }),
  'notify.send of a plugin': () =>
    service.call('test.live', 'tool', 'notify', { channel: 'here', title: 'late', text: 'x', severity: 'info' }),
});

t.test(
  'given a disk that gets full, when everything is asked for, then effects fail closed and the rest goes on',
  { skip: skipWithoutMount },
  async (t) => {
    const home = createHome(t);
    const disk = mountSmallDisk(home, 8);
    const channels = join(home.root, 'channels.json');
    writeFileSync(channels, JSON.stringify({ channels: { here: { type: 'log', plugins: ['test.live'] } } }), { mode: 0o600 });
    const env = { LATTICE_NOTIFY_CHANNELS: channels };
    for (const id of ['test.live', 'test.idle']) home.place({ id, source: readChild('tool.js'), capabilities, services });
    const service = await startService(home, { env });
    for (const id of ['test.live', 'test.idle']) await service.setStatus(id, 'installed');
    t.equal((await service.setStatus('test.live', 'active')).status, 200);
    await service.call('test.live', 'tool', 'put', { key: 'kept', value: 'yes' });
    const { pid } = await service.runtime('test.live');
    const acknowledged = new Map<string, string>();
    for (const key of ['first', 'second']) {
      await service.api('PUT', `/api/kv/ops/${key}`, { value: key });
      acknowledged.set(key, key);
    }

    await t.test('effects are refused with 507, and with 503 through a plugin', async (t) => {
      disk.fill();
      t.match(await storeUntilRefused(service, acknowledged), {
        status: 507,
        body: { code: 'storage-unavailable', rule: 'disk-full', hint: /free space/ },
      });
      for (const [name, ask] of Object.entries(effects(service)))
        t.match(await ask(), { status: 507, body: { code: 'storage-unavailable', rule: 'disk-full' } }, name);
      for (const [name, ask] of Object.entries(asks(service)))
        t.match(await ask(), { status: 503, body: { code: 'storage-unavailable', hint: /free space/ } }, name);
    });

    await t.test('reads go on, the child lives, and the service says what is wrong', async (t) => {
      t.equal((await service.call('test.live', 'tool', 'echo', 7)).body as unknown, 7);
      t.match((await service.call('test.live', 'tool', 'get', { key: 'kept' })).body, { value: 'yes' });
      t.match(await service.api('GET', '/api/kv/ops/first'), { status: 200, body: { value: 'first' } });
      t.match(await service.api('GET', '/api/audit?limit=1'), { status: 200 });
      t.match((await service.api('GET', '/api/audit/verify')).body, { ok: true });
      t.equal((await service.runtime('test.live')).pid, pid);
      t.match(await service.api('GET', '/readyz'), { status: 503, body: { reasons: [/SQLITE_FULL/] } });
      t.match((await service.api('GET', '/api/database')).body, { state: 'unwritable', rule: 'disk-full', hint: /free space/ });
      t.match((await service.api('GET', '/api/doctor')).body, { database: { state: 'unwritable' } });
    });

    await t.test('what is disabled is stopped all the same', async (t) => {
      t.match(await service.setStatus('test.live', 'disabled'), {
        status: 507,
        body: { detail: /is stopped, but/, hint: /disable it again/ },
      });
      t.match(await service.show('test.live'), { status: 'active', runtime: { state: 'stopped' } });
    });

    await t.test('it recovers by itself, and nothing acknowledged is lost', async (t) => {
      const freedAt = performance.now();
      disk.grow(16);
      await eventually(async () => (await service.api('GET', '/readyz')).status === 200);
      t.comment(`ready ${Math.round(performance.now() - freedAt)} ms after there was space`);

      t.same(await findLost(service, acknowledged), []);
      t.equal((await service.setStatus('test.live', 'active')).status, 200);
      t.match((await service.api('GET', '/api/audit/verify')).body, { ok: true });
      const { rows } = (await service.api('GET', '/api/audit?kind=storage.recovered')).body as {
        rows: { rule: string; summary: string }[];
      };
      t.match(rows, [{ rule: 'disk-full', summary: /"refused":\d+/ }]);
    });

    await t.test('after a kill and a start all of it is still there, and nothing that was refused', async (t) => {
      service.signal('SIGKILL');
      await service.exited;
      const next = await startService(home, { env });
      t.same(await findLost(next, acknowledged), []);
      await next.entered('test.live', 'ready');
      t.match((await next.call('test.live', 'tool', 'get', { key: 'late' })).body, { value: null });
      t.match((await next.api('GET', '/api/audit/verify')).body, { ok: true });
    });
  },
);

const refusals: Record<string, { used: boolean; spoil(disk: ReturnType<typeof mountSmallDisk>): void; says: RegExp }> = {
  'an empty disk that is full': { used: false, spoil: (disk) => disk.fill(), says: /has no room for 256 KiB: ENOSPC\n.*free space/ },
  'a read-only disk': { used: true, spoil: (disk) => disk.setWritable(false), says: /cannot be written: EROFS\n.*writable again/ },
};

for (const [name, { used, spoil, says }] of Object.entries(refusals)) {
  t.test(
    `given ${name}, when the service is started, then it says so in two lines and changes nothing`,
    { skip: skipWithoutMount },
    async (t) => {
      const home = createHome(t);
      const disk = mountSmallDisk(home, 6);
      if (used) {
        const database = await makeDatabase(home.dataDir, 5);
        await database.close();
      }
      spoil(disk);
      const before = readdirSync(home.dataDir);

      const { code, output } = await startInVain(home, { env: { LATTICE_RUNNER: 'noop' } });

      t.equal(code, 8);
      t.match(output, says);
      t.notMatch(output, /^ +at /m, 'no stack');
      t.notMatch(output, home.root, 'no path');
      t.same(readdirSync(home.dataDir), before);
    },
  );
}
