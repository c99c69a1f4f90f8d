import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Status } from '../../supervisor/plugin-lifecycle.ts';
import { eventually } from '../support/eventually.ts';
import { failsToLoad, id, openSupervisor, operator } from '../support/open-supervisor.ts';
import { makeKey, simplePolicy } from '../support/signed-bundle.ts';

type Opened = Awaited<ReturnType<typeof openSupervisor>>['supervisor'];
const set = (supervisor: Opened, status: Status, bundleSha256?: string) =>
  supervisor.setStatus({ id, status, ...(bundleSha256 ? { bundleSha256 } : {}) }, operator);

t.test('given a verified bundle, when it goes through its life, then each step shows and forbidden ones are refused', async (t) => {
  const { supervisor, runner, put } = await openSupervisor(t);
  put();
  await supervisor.start();
  t.match(supervisor.list(), [{ id, status: 'verified', available: true, runtime: null }]);
  await t.rejects(set(supervisor, 'active'), {
    code: 'invalid-transition',
    details: { hint: /^install it first: lattice plugins install / },
  });
  await t.rejects(set(supervisor, 'disabled'), { code: 'invalid-transition' });
  t.match(await set(supervisor, 'installed'), { status: 'installed', runtime: { state: 'stopped' } });
  t.match(await set(supervisor, 'installed'), { status: 'installed' }, 'again is no change');
  t.match(await set(supervisor, 'active'), { status: 'active', runtime: { state: 'armed', generation: 1 } });
  await t.rejects(set(supervisor, 'installed'), { code: 'invalid-transition', details: { hint: /^it is installed already/ } });
  t.match(await set(supervisor, 'active'), { status: 'active', runtime: { state: 'armed', generation: 2 } }, 'active again restarts');
  t.match(await set(supervisor, 'disabled'), { status: 'disabled', runtime: { state: 'stopped' } });
  await t.rejects(set(supervisor, 'installed'), { code: 'invalid-transition' });
  t.match(await set(supervisor, 'active'), { status: 'active' });
  t.equal(runner.runs.length, 3);
  await t.rejects(supervisor.setStatus({ id: 'no.such', status: 'installed' }, operator), { code: 'not-found' });
});

t.test(
  'given another bundle than the one shown, when it is to be installed or activated, then it is refused and nothing changes',
  async (t) => {
    const { supervisor, put } = await openSupervisor(t);
    put();
    await supervisor.start();
    await t.rejects(set(supervisor, 'installed', '0'.repeat(64)), { code: 'changed-since-shown' });
    t.equal(supervisor.show(id).status, 'verified');
    const shown = supervisor.show(id).bundle_sha256;
    await set(supervisor, 'installed', shown);
    await t.rejects(set(supervisor, 'active', '0'.repeat(64)), { code: 'changed-since-shown' });
  },
);

t.test('given a plugin that does not arm, when it is activated, then it is disabled and the answer says why', async (t) => {
  const { supervisor, behave, put } = await openSupervisor(t);
  put();
  await supervisor.start();
  await set(supervisor, 'installed');
  behave.now = failsToLoad;
  await t.rejects(set(supervisor, 'active'), { code: 'unavailable', details: { rule: 'load-failed' } });
  t.match(supervisor.show(id), { status: 'disabled', runtime: { state: 'stopped' } });
  t.match(supervisor.why(id).exits[0], { cause: 'load-failed' });
});

t.test(
  'given a running plugin, when its bundle goes from disk, then it runs on, is shown so, is not armed again, and can be disabled',
  async (t) => {
    const { supervisor, runner, put } = await openSupervisor(t);
    const home = put();
    await supervisor.start();
    await set(supervisor, 'installed');
    await set(supervisor, 'active');
    rmSync(home, { recursive: true });
    await supervisor.rescan(operator);
    t.match(supervisor.show(id), { available: false, status: 'active', runtime: { state: 'armed' } });
    await t.rejects(set(supervisor, 'active'), { code: 'conflict', details: { rule: 'not-available' } });
    t.equal(runner.runs.length, 1);
    t.match(await set(supervisor, 'disabled'), { available: false, status: 'disabled' });
    await t.rejects(set(supervisor, 'active'), { code: 'conflict' });
  },
);

t.test(
  'given new bytes under an installed id, when they are scanned, then they are an upgrade that runs only by consent, and goes back when it fails',
  async (t) => {
    const { supervisor, runner, behave, put } = await openSupervisor(t);
    put();
    await supervisor.start();
    await set(supervisor, 'installed');
    await set(supervisor, 'active');
    put({ version: '1.1.0', capabilities: ['kv:read', 'log:write'] });
    await supervisor.rescan(operator);
    const { upgrade, version } = supervisor.show(id);
    t.match([version, upgrade], ['1.0.0', { version: '1.1.0', downgrade: false, capabilities_added: ['log:write'] }]);
    await set(supervisor, 'active');
    t.equal(runner.last().launch.plugin.version, '1.0.0', 'a restart runs the accepted bytes');
    await t.rejects(supervisor.upgrade({ id, bundleSha256: 'f'.repeat(64) }, operator), { code: 'changed-since-shown' });
    t.match(await supervisor.upgrade({ id, ...(upgrade ? { bundleSha256: upgrade.bundle_sha256 } : {}) }, operator), {
      version: '1.1.0',
      upgrade: null,
    });
    t.equal(runner.last().launch.plugin.version, '1.1.0');
    put({ version: '1.0.5' });
    await supervisor.rescan(operator);
    t.match(supervisor.show(id).upgrade, { downgrade: true, capabilities_removed: ['log:write'] });
    behave.now = failsToLoad;
    const failed = supervisor.upgrade({ id }, operator);
    await t.rejects(failed, { code: 'unavailable', details: { rule: 'load-failed' } });
    t.equal(supervisor.show(id).version, '1.1.0', 'the former version is back');
  },
);

t.test('given an id of one publisher, when another signs a bundle with it, then that is refused and is no upgrade', async (t) => {
  const { supervisor, trust, key, put } = await openSupervisor(t);
  put();
  await supervisor.start();
  await set(supervisor, 'installed');
  const rival = makeKey();
  trust.bytes = Buffer.from(
    JSON.stringify({ trusted_publishers: { 'test.publisher': key.publicBase64, 'rival.publisher': rival.publicBase64 } }),
  );
  put({ publisher: 'rival.publisher', version: '2.0.0' }, rival);
  const { refused } = await supervisor.rescan(operator);
  t.match(refused, [{ code: 'publisher-conflict' }]);
  t.match(supervisor.show(id), { available: false, upgrade: null, publisher: 'test.publisher' });
});

t.test('given an active plugin, when the policy no longer trusts its key, then it is stopped at a rescan and says why', async (t) => {
  const { supervisor, runner, trust, put } = await openSupervisor(t);
  put();
  await supervisor.start();
  await set(supervisor, 'installed');
  await set(supervisor, 'active');
  trust.bytes = simplePolicy(makeKey().publicBase64);
  await supervisor.rescan(operator);
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  t.match(supervisor.show(id), { available: false, runtime: { state: 'failed' } });
  t.equal(supervisor.why(id).exits[0]?.cause, 'trust-lost');
  t.equal(runner.runs.length, 1);
  trust.bytes = Buffer.from('{"trusted_publishers":');
  await t.rejects(supervisor.rescan(operator), { code: 'verification-failed' }, 'a broken policy leaves the last good one');
});

t.test(
  'given what was wanted, when the service starts again, then active plugins are started, and a failure then changes nothing that is wanted',
  async (t) => {
    const { supervisor, create, runner, behave, put } = await openSupervisor(t);
    put();
    await supervisor.start();
    await set(supervisor, 'installed');
    await set(supervisor, 'active');
    await supervisor.stop();
    behave.now = failsToLoad;
    const second = create();
    await second.start();
    await eventually(() => second.show(id).runtime?.state === 'restarting');
    t.match(second.show(id), { status: 'active' });
    await second.stop();
    t.equal(runner.runs.length, 2);
  },
);

t.test(
  'given a hundred operators at once, when they post at random, then every answer is legal and the end is what the last one left',
  async (t) => {
    const { supervisor, database, put } = await openSupervisor(t);
    put();
    await supervisor.start();
    await set(supervisor, 'installed');
    const wanted = Array.from({ length: 100 }, (_, n): Status => (n % 3 === 0 ? 'disabled' : 'active'));
    const ends = await Promise.allSettled(wanted.map((status) => set(supervisor, status)));
    t.ok(ends.every((end) => end.status === 'fulfilled' || end.reason.code === 'invalid-transition'));
    t.equal(supervisor.show(id).status, wanted.at(-1));
    const rows = await database.read.all<{ summary: string }>("SELECT summary FROM audit WHERE kind = 'plugin.status' ORDER BY seq");
    const moves = rows.map(({ summary }) => JSON.parse(summary)).filter(({ change }) => change === 'status');
    t.same(
      moves.map(({ from }) => from),
      ['verified', ...moves.map(({ to }) => to)].slice(0, moves.length),
    );
  },
);

t.test('given a call, when the caller’s scopes or the method do not fit, then it is refused before the plugin hears of it', async (t) => {
  const { supervisor, pluginDir, put } = await openSupervisor(t);
  put({ services: [{ name: 'greeter', methods: [{ name: 'greet', effect: 'read', scopes: ['node:read'] }] }] });
  await supervisor.start();
  await set(supervisor, 'installed');
  const call = (service: string, method: string, scopes: string[]) =>
    supervisor.call(
      { id, service, method, payload: 1 },
      { id: 't-2', scopes, plugin: null },
      { signal: new AbortController().signal, requestId: 'r' },
    );
  await t.rejects(call('greeter', 'greet', ['plugin:call', 'node:read']), { code: 'unavailable' }, 'not armed yet');
  await set(supervisor, 'active');
  t.match(await call('greeter', 'greet', ['plugin:call', 'node:read']), { service: 'greeter', payload: 1 });
  await t.rejects(call('greeter', 'greet', ['plugin:call']), { code: 'forbidden' });
  await t.rejects(call('greeter', 'constructor', ['plugin:call']), { code: 'method-not-found' });
  writeFileSync(join(pluginDir, 'stray-file'), 'x');
  t.match((await supervisor.rescan(operator)).refused, [{ folder: 'stray-file', code: 'not-a-folder' }]);
});
