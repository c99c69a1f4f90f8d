import { mkdirSync } from 'node:fs';
import t from 'tap';
import { buildDisk, createDisk, type DiskRule, whyNoDisk } from '../support/disk.ts';
import { eventually } from '../support/eventually.ts';
import { createHome, startService } from '../support/start-service.ts';

const faults: Record<string, { rule: DiskRule; status: number; because: string }> = {
  'a sync that fails': { rule: { op: 'sync', error: 'EIO' }, status: 503, because: 'disk-fault' },
  'a disk that the kernel made read-only': { rule: { op: 'write', error: 'EROFS' }, status: 503, because: 'disk-fault' },
  'a quota that is used up': { rule: { op: 'write', error: 'ENOSPC' }, status: 507, because: 'disk-full' },
};
const callsTried = 12; // more than a commit makes

t.test(
  'given a disk that fails or is slow, when entries are stored, then what is acknowledged stays and reads go on',
  { skip: whyNoDisk },
  async (t) => {
    const home = createHome(t);
    mkdirSync(home.dataDir, { mode: 0o700 });
    const disk = createDisk({ library: buildDisk(home.root), root: home.dataDir });
    t.teardown(() => disk.close());
    const env = { LATTICE_RUNNER: 'noop', ...disk.env };
    let service = await startService(home, { env });
    const acknowledged = new Map<string, string>();
    const put = async (key: string, value: string) => {
      const answer = await service.api('PUT', `/api/kv/ops/${key}`, { value });
      if (answer.status === 200) acknowledged.set(key, value);
      else acknowledged.delete(key); // a change that was refused may have been made all the same: the disk failed after it
      return answer;
    };
    const findLost = async () => {
      const lost: string[] = [];
      for (const [key, value] of acknowledged) if ((await service.api('GET', `/api/kv/ops/${key}`)).body.value !== value) lost.push(key);
      return lost;
    };
    const recovered = () => eventually(async () => (await service.api('GET', '/readyz')).status === 200);
    await put('before', 'yes');

    for (const [name, { rule, status, because }] of Object.entries(faults)) {
      await t.test(`${name} refuses the change and nothing else, until it is over`, async (t) => {
        disk.set(rule);
        t.match(await put('failing', name), { status, body: { code: 'storage-unavailable', rule: because, hint: String } });
        t.match(await service.api('GET', '/api/kv/ops/before'), { status: 200, body: { value: 'yes' } });
        t.match((await service.api('GET', '/readyz')).status, 503);
        disk.clear();
        await recovered();
        t.equal((await put('after', name)).status, 200);
        t.same(await findLost(), []);
      });
    }

    await t.test('an error at any one call of a commit loses nothing that was acknowledged', async (t) => {
      let refused = 0;
      for (let first = 1; first <= callsTried; first++) {
        disk.set({ op: 'any', error: 'EIO', first, count: 1, match: 'lattice.db' });
        for (let write = 0; write < 3; write++) if ((await put(`key-${first}-${write}`, `value ${first}`)).status !== 200) refused++;
        disk.clear();
        await recovered();
      }
      t.ok(refused > 0, 'some were hit');
      t.ok(acknowledged.size > callsTried);
      t.same(await findLost(), []);
    });

    await t.test('while a sync takes long, reads are answered', async (t) => {
      const order: string[] = [];
      disk.set({ op: 'sync', delayMs: 700 });
      const slow = put('slow', 'yes').then(() => void order.push('stored'));
      for (let read = 0; read < 3; read++) await service.api('GET', '/api/kv/ops/before').then(() => void order.push('read'));
      await slow;
      disk.clear();
      t.same(order, ['read', 'read', 'read', 'stored']);
    });

    await t.test('after a kill and a start all of it is there, and the audit is whole', async (t) => {
      service.signal('SIGKILL');
      await service.exited;
      service = await startService(home, { env });
      t.same(await findLost(), []);
      t.match((await service.api('GET', '/api/audit/verify')).body, { ok: true });
    });
  },
);
