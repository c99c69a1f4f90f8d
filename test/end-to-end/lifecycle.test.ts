import t from 'tap';
import { readChild } from '../support/sign-bundle.ts';
import { type Answer, createHome, startService } from '../support/start-service.ts';

const home = createHome(t);
const tool = { source: readChild('tool.js'), capabilities: ['kv:read', 'kv:write'], services: { tool: ['echo', 'put'] } };
const bad = {
  'test.throws': { child: 'throws-at-load.js', cause: 'load-failed', lastLine: 'about to fail' },
  'test.exits': { child: 'exits-at-load.js', cause: 'exit-code', lastLine: 'about to leave' },
  'test.rubbish': { child: 'prints-rubbish.js', cause: 'protocol-violation', lastLine: 'about to print' },
  'test.spins': { child: 'spins-at-load.js', cause: 'not-ready-in-time', lastLine: 'about to spin' },
} as const;

home.place({ id: 'test.tool', ...tool });
home.place({ id: 'test.goes', ...tool });
home.place({ id: 'test.never', ...tool });
for (const [id, { child }] of Object.entries(bad)) home.place({ id, source: readChild(child) });
const service = await startService(home);
const { api, setStatus, show, runtime, call } = service;

const codeOf = ({ status, body }: Answer): string => `${status} ${body.code ?? body.status}`;

t.test('given a verified bundle, when every status is asked for, then only consent leads on', async (t) => {
  t.equal(codeOf(await setStatus('test.tool', 'verified')), '200 verified');
  t.equal(codeOf(await setStatus('test.tool', 'active')), '409 invalid-transition');
  t.equal(codeOf(await setStatus('test.tool', 'disabled')), '409 invalid-transition');
  t.equal(codeOf(await call('test.tool', 'tool', 'echo')), '409 invalid-transition');

  const { body } = await setStatus('test.tool', 'installed');

  t.match(body, { status: 'installed', available: true, runtime: { state: 'stopped', pid: null } });
});

t.test('given an installed plugin, when it is activated, then it runs and answers', async (t) => {
  t.equal(codeOf(await setStatus('test.tool', 'installed')), '200 installed');
  t.equal(codeOf(await setStatus('test.tool', 'verified')), '409 invalid-transition');
  t.equal(codeOf(await call('test.tool', 'tool', 'echo')), '503 unavailable');

  const { body } = await setStatus('test.tool', 'active');

  t.match(body, { status: 'active', runtime: { state: 'armed', runner: 'subprocess', pid: Number, generation: 1 } });
  t.same((await call('test.tool', 'tool', 'echo', { n: [1, null, 'ä'] })).body, { n: [1, null, 'ä'] });
  t.equal(codeOf(await setStatus('test.tool', 'verified')), '409 invalid-transition');
  t.equal(codeOf(await setStatus('test.tool', 'installed')), '409 invalid-transition');
});

t.test('given an active plugin, when it is made active again, then another process of a new generation runs', async (t) => {
  const before = await runtime('test.tool');

  const { body } = await setStatus('test.tool', 'active');

  const after = await runtime('test.tool');
  t.match(body, { status: 'active', runtime: { state: 'armed' } });
  t.equal(after.generation, Number(before.generation) + 1);
  t.not(after.pid, before.pid);
  t.equal(codeOf(await call('test.tool', 'tool', 'echo', {})), '200 undefined');
});

t.test('given an active plugin, when it is disabled twice and activated, then it stops once and comes back', async (t) => {
  t.match((await setStatus('test.tool', 'disabled')).body, { status: 'disabled', runtime: { state: 'stopped', pid: null } });
  t.equal(codeOf(await setStatus('test.tool', 'disabled')), '200 disabled');
  t.equal(codeOf(await setStatus('test.tool', 'installed')), '409 invalid-transition');
  t.equal(codeOf(await setStatus('test.tool', 'verified')), '409 invalid-transition');
  t.equal(codeOf(await call('test.tool', 'tool', 'put', { key: 'a', value: 'b' })), '503 unavailable');

  t.equal(codeOf(await setStatus('test.tool', 'active')), '200 active');

  const rows = (await api('GET', '/api/audit?plugin=test.tool&kind=plugin.status&order=oldest')).body.rows as { summary: string }[];
  t.same(
    rows.map(({ summary }) => JSON.parse(summary).to),
    ['installed', 'active', 'active', 'disabled', 'active'],
  );
});

t.test('given words that mean nothing, when they are sent, then nothing changes and the answer says so', async (t) => {
  t.equal(codeOf(await setStatus('test.nobody', 'installed')), '404 not-found');
  t.equal(codeOf(await setStatus('test.tool', 'running')), '400 invalid-params');
  t.equal(codeOf(await setStatus('../../etc/passwd', 'installed')), '404 not-found');
  t.equal(codeOf(await setStatus('lifecycle', 'installed')), '404 not-found');
  t.equal(codeOf(await setStatus('test.tool', 'disabled', { force: true })), '400 invalid-params');
  t.equal(codeOf(await api('GET', '/api/plugins/test.nobody/why')), '404 not-found');
  t.equal((await show('test.tool')).status, 'active');
});

t.test('given a bundle that was changed since it was shown, when the old one is consented to, then nothing is installed', async (t) => {
  const shown = (await show('test.never')).bundle_sha256;
  home.place({ id: 'test.never', ...tool, more: { version: '1.0.1' } });
  await api('POST', '/api/plugins/rescan');

  const refused = await setStatus('test.never', 'installed', { bundle_sha256: shown });

  t.equal(codeOf(refused), '409 changed-since-shown');
  const now = await show('test.never');
  t.equal(refused.body.bundle_sha256, now.bundle_sha256);
  t.equal(now.status, 'verified');
  t.equal(codeOf(await setStatus('test.never', 'installed', { bundle_sha256: now.bundle_sha256 })), '200 installed');
  t.equal(codeOf(await setStatus('test.never', 'active', { bundle_sha256: shown })), '409 changed-since-shown');
});

t.test('given a running plugin, when its bundle goes from disk, then it runs on, is not armed again, and can be disabled', async (t) => {
  await setStatus('test.goes', 'installed');
  await setStatus('test.goes', 'active');
  const { pid } = await runtime('test.goes');
  home.remove('test.goes');
  await api('POST', '/api/plugins/rescan');

  t.match(await show('test.goes'), { available: false, status: 'active', runtime: { state: 'armed', pid } });
  t.match(await setStatus('test.goes', 'active'), { status: 409, body: { code: 'conflict', rule: 'not-available' } });
  t.equal((await runtime('test.goes')).pid, pid);
  t.same((await call('test.goes', 'tool', 'echo', [1])).body, [1]);
  t.match((await setStatus('test.goes', 'disabled')).body, { status: 'disabled', available: false });
  t.match(await setStatus('test.goes', 'active'), { status: 409, body: { rule: 'not-available' } });
  t.match((await setStatus('test.never', 'disabled')).body, { status: 'disabled' });
});

t.test('given plugins that cannot start, when they are activated, then each answer says why and leaves the plugin disabled', async (t) => {
  const ids = Object.keys(bad);
  await Promise.all(ids.map((id) => setStatus(id, 'installed')));

  const answers = await Promise.all(ids.map((id) => setStatus(id, 'active')));

  for (const [index, [id, { cause, lastLine }]] of Object.entries(bad).entries()) {
    const why = await service.why(id);
    t.match(answers[index], { status: 503, body: { code: 'unavailable', rule: cause, hint: String } }, id);
    t.match(await show(id), { status: 'disabled', runtime: { state: 'stopped', pid: null, next_retry_at: null } }, id);
    t.equal(why.exits[0]?.cause, cause, id);
    t.equal(why.exits[0]?.stderr_tail[0], lastLine, id);
  }
  const thrown = (await service.why('test.throws')).exits[0]?.stderr_tail.join('\n') ?? '';
  t.match(thrown, /the wheels came off/);
});

t.test('given what went before, when the audit is verified, then its chain is whole', async (t) => {
  t.match((await api('GET', '/api/audit/verify')).body, { ok: true });
});
