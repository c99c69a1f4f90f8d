import t from 'tap';
import { eventually } from '../support/eventually.ts';
import { readChild } from '../support/sign-bundle.ts';
import { createHome, startService } from '../support/start-service.ts';

const home = createHome(t);
const raw = readChild('raw-wire.js');
const stayAlive = 'for (;;) hear();';

/** What a plugin writes in place of its answer to `initialize`, and the rule that it breaks. */
const abuses: Record<string, { rule: string; steps: string }> = {
  'test.too-long': { rule: 'line-too-long', steps: `write(1, '{"jsonrpc":"2.0","x":"' + 'y'.repeat(1024 * 1024) + '"}\\n');` },
  'test.endless': { rule: 'line-too-long', steps: `write(1, '{'.padEnd(1024 * 1024 + 1));` },
  'test.batch': { rule: 'batch', steps: `write(1, '[{"jsonrpc":"2.0","id":1,"result":{"protocol":1}}]\\n');` },
  'test.key-twice': { rule: 'duplicate-key', steps: `write(1, '{"jsonrpc":"2.0","id":1,"id":1,"result":{}}\\n');` },
  'test.proto': { rule: 'forbidden-key', steps: `write(1, '{"jsonrpc":"2.0","id":1,"result":{"__proto__":{}}}\\n');` },
  'test.deep': { rule: 'too-deep', steps: `write(1, '{"a":'.repeat(65) + '1' + '}'.repeat(65) + '\\n');` },
  'test.not-utf8': { rule: 'invalid-utf8', steps: `writeSync(1, Buffer.from([0x7b, 0xff, 0x7d, 0x0a]));` },
  'test.not-json': { rule: 'invalid-json', steps: `write(1, '{"jsonrpc":\\n');` },
  'test.parting-shot': { rule: 'batch', steps: `write(1, '[]\\n'); process.exit(0);` },
  'test.no-version': { rule: 'not-json-rpc', steps: `write(1, '{"id":1,"result":{}}\\n');` },
  'test.bad-id': { rule: 'invalid-id', steps: `say({ id: 1.5, method: 'kv.get', params: {} });` },
  'test.long-method': { rule: 'invalid-method', steps: `say({ id: 7, method: 'm'.repeat(129) });` },
  'test.id-twice': {
    rule: 'duplicate-id',
    steps: `say({ id: 7, method: 'kv.get', params: { key: 'a' } }, { id: 7, method: 'kv.get', params: { key: 'a' } });`,
  },
  'test.unasked': { rule: 'unknown-answer', steps: `say({ id: 777, result: 1 });` },
  'test.without-id': { rule: 'request-without-id', steps: `say({ method: 'kv.put', params: { key: 'a', value: 'b' } });` },
  'test.strays': { rule: 'stray-output', steps: `write(1, 'just saying\\n'.repeat(100));` },
  'test.bad-answer': { rule: 'initialize-answer', steps: `say({ id: 1, result: { protocol: 99 } });` },
};

const early = `
say({ id: 900, method: 'kv.put', params: { key: 'early', value: 'bird' } });
note('early: ' + JSON.stringify(hear().error?.data));
becomeReady();
for (;;) {
  const { id, method } = hear();
  if (method === 'shutdown') {
    say({ id: 901, method: 'kv.put', params: { key: 'while-draining', value: 'kept' } });
    note('draining: ' + JSON.stringify(hear().result));
    say({ id, result: {} });
    hear(); // until our input is closed; what is said from here on must not count
  } else if (method === 'ping' || method === 'invoke') say({ id, result: {} });
}`;
const late = `
becomeReady();
for (;;) {
  const { id, method } = hear();
  if (method !== 'shutdown') continue;
  say({ id, result: {} }, ...Array.from({ length: 20 }, (_, n) => ({ id: 1000 + n, method: 'kv.put', params: { key: 'late' + n, value: 'x' } })));
  process.removeAllListeners('SIGTERM').on('SIGTERM', () => {});
  for (let n = 0; ; n++) {
    say({ id: 2000 + n, method: 'kv.put', params: { key: 'later' + n, value: 'x' } });
    rest();
  }
}`;
const chatty = `write(1, 'just saying\\n'.repeat(99)); becomeReady(); note('still here'); ${stayAlive}`;

const halfLine = `note('cut short'); write(1, '{"jsonrpc":"2.0"'); process.kill(process.pid, 'SIGKILL');`;
const leaver = `
becomeReady();
for (;;) {
  const { id, method } = hear();
  if (method !== 'invoke') continue;
  say({ id: 5, method: 'kv.put', params: { key: 'last', value: 'words' } }, { id, result: 'goodbye' });
  process.exit(0);
}`;

for (const [id, { steps }] of Object.entries(abuses))
  home.place({ id, source: `${raw}\nnote('about to abuse');\n${steps}\n${stayAlive}\n`, capabilities: ['kv:read', 'kv:write'] });
const unread = `becomeReady(); for (;;) rest();`;

const good = {
  'test.early': early,
  'test.late': late,
  'test.chatty': chatty,
  'test.half-line': halfLine,
  'test.leaves': leaver,
  'test.unread': unread,
};
for (const [id, steps] of Object.entries(good))
  home.place({ id, source: `${raw}\n${steps}`, capabilities: ['kv:read', 'kv:write'], services: { tool: ['leave'] } });
const service = await startService(home);
const { api, setStatus } = service;
for (const id of [...Object.keys(abuses), ...Object.keys(good)]) await setStatus(id, 'installed');

// A plugin that never reads is given up after a while: the others are tried meanwhile.
await setStatus('test.unread', 'active');
const unreadCalls = Array.from({ length: 6 }, () => service.call('test.unread', 'tool', 'leave', 'x'.repeat(512 * 1024)));

type Row = { method: string; verdict: string; code: string; rule: string };
const decisionsOf = async (id: string) => (await api('GET', `/api/audit?plugin=${id}&kind=host.decision&order=oldest`)).body.rows as Row[];
const keysOf = async (id: string) => {
  const { body } = await api('GET', `/api/kv/plugin:${id}`);
  return ((body.entries ?? []) as { key: string }[]).map(({ key }) => key);
};

for (const [id, { rule }] of Object.entries(abuses))
  t.test(`given ${id}, when it is activated, then it ends for ${rule}, and why says so`, async (t) => {
    const answer = await setStatus(id, 'active');

    t.match(answer, { status: 503, body: { code: 'unavailable', rule: 'protocol-violation' } });
    const [exit] = (await service.why(id)).exits;
    t.match(exit, { cause: 'protocol-violation', stderr_tail: ['about to abuse'] });
    t.equal(exit?.detail.split(':')[0], rule);
    t.match(await service.show(id), { status: 'disabled', runtime: { state: 'stopped', pid: null } });
    t.same(await keysOf(id), []);
  });

t.test(
  'given a host call before the answer to initialize, when the plugin becomes ready, then that call was refused and recorded',
  async (t) => {
    t.match(await setStatus('test.early', 'active'), { status: 200 });

    await eventually(async () => (await decisionsOf('test.early')).length > 0); // nobody waits for the row of a refusal
    t.match(await decisionsOf('test.early'), [{ method: 'kv.put', verdict: 'deny', code: 'invalid-transition', rule: 'no-grant' }]);
    t.same(await keysOf('test.early'), []);
    t.match(await service.logText('test.early'), 'early: {');
  },
);

t.test('given a plugin that shuts down, when it writes before it has answered, then that is kept', async (t) => {
  t.match(await setStatus('test.early', 'disabled'), { status: 200 });

  t.same(await keysOf('test.early'), ['while-draining']);
  t.match((await decisionsOf('test.early')).at(-1), { method: 'kv.put', verdict: 'allow' });
});

t.test(
  'given a plugin that goes on asking after it has answered shutdown, when it is disabled, then nothing of that is done',
  async (t) => {
    t.match(await setStatus('test.late', 'active'), { status: 200 });

    t.match(await setStatus('test.late', 'disabled'), { status: 200, body: { runtime: { state: 'stopped', pid: null } } });

    await eventually(async () => (await decisionsOf('test.late')).some(({ rule }) => rule === 'no-grant'));
    const decisions = await decisionsOf('test.late');
    const firstRefused = decisions.findIndex(({ rule }) => rule === 'no-grant');
    t.same(
      decisions.slice(firstRefused).filter(({ verdict }) => verdict === 'allow'),
      [],
    );
    t.equal((await keysOf('test.late')).length, decisions.filter(({ verdict }) => verdict === 'allow').length);
  },
);

t.test('given 99 stray lines, when the plugin then becomes ready, then it runs, and its log shows them with a hint', async (t) => {
  t.match(await setStatus('test.chatty', 'active'), { status: 200 });

  await eventually(async () => (await service.logText('test.chatty')).includes('still here'));
  t.match(await service.logText('test.chatty'), /just saying \(printed to stdout/);
  t.match(await service.why('test.chatty'), { counters: { stray_lines: 99 } });
});

t.test('given a plugin that is killed inside a line, when why is asked, then the kill is the reason', async (t) => {
  t.match(await setStatus('test.half-line', 'active'), { status: 503, body: { rule: 'signal' } });

  t.match((await service.why('test.half-line')).exits[0], { cause: 'signal', signal: 'SIGKILL', stderr_tail: ['cut short'] });
});

t.test('given a plugin that answers and ends at once, when it is called, then its last words count', async (t) => {
  await setStatus('test.leaves', 'active');

  t.same(await service.call('test.leaves', 'tool', 'leave'), { status: 200, body: 'goodbye' });

  await service.entered('test.leaves', 'backoff');
  await eventually(async () => (await keysOf('test.leaves')).includes('last')); // it is asked for; nobody is there to be told when it is done
  t.match((await service.why('test.leaves')).exits[0], { cause: 'exit-code', code: 0 });
  await setStatus('test.leaves', 'disabled');
});

t.test('given a plugin that never reads, when it is sent much, then it is ended, and its callers are told', async (t) => {
  const codes = (await Promise.all(unreadCalls)).map(({ body }) => body.code);

  t.ok(codes.includes('plugin-crashed'));
  t.same(
    codes.filter((code) => code !== 'plugin-crashed' && code !== 'rate-limited'),
    [],
    'what was over the bound was refused at once',
  );

  await service.entered('test.unread', 'backoff');
  t.match((await service.why('test.unread')).exits[0], { cause: 'protocol-violation', detail: /^write-stalled/ });
  await setStatus('test.unread', 'disabled');
});

t.test('given all this, when the audit is verified, then its chain is whole', async (t) => {
  t.match((await api('GET', '/api/audit/verify')).body, { ok: true });
});
