import t from 'tap';
import type { InvokeBudget } from '../../../protocol/manifest-form.ts';
import { findDescendants } from '../../support/process-tree.ts';
import { hostCall, openStdioJson } from '../../support/stdio-json.ts';

const plugins = await openStdioJson();
const { skip } = plugins;
const budget = (more: Partial<InvokeBudget>): InvokeBudget => ({
  timeout_ms: 10_000,
  stdout_bytes: 65_536,
  stderr_bytes: 65_536,
  host_calls: 4,
  ...more,
});
const put = hostCall('kv.put', { key: 'a', value: 'b' });
const log = hostCall('log.write', { message: 'x' });

/** What a plugin does, the error that its caller gets, and the crash that is counted. */
const crashes: Record<string, { method: string; text?: string | Buffer; exit: object }> = {
  'writes no JSON': { method: 'say', text: 'hello\n', exit: { cause: 'protocol-violation', detail: /^invalid-json/ } },
  'writes a list': { method: 'say', text: '[1]\n', exit: { cause: 'protocol-violation', detail: /^not-an-object/ } },
  'writes a key twice': {
    method: 'say',
    text: '{"ok":true,"ok":false}\n',
    exit: { cause: 'protocol-violation', detail: /^duplicate-key/ },
  },
  'writes bytes that are not UTF-8': {
    method: 'say',
    text: Buffer.from('{"ok":true,"result":"\u00ff"}\n', 'latin1'),
    exit: { detail: /^invalid-utf8/ },
  },
  'replies with an ok that is a number': { method: 'say', text: '{"ok":1}\n', exit: { cause: 'protocol-violation', detail: /^bad-reply/ } },
  'calls the host without a method': {
    method: 'say',
    text: '{"host_call":{"id":"1"}}\n',
    exit: { cause: 'protocol-violation', detail: /^bad-host-call/ },
  },
  'calls the host with a number as id': {
    method: 'say',
    text: '{"host_call":{"id":1,"method":"a"}}\n',
    exit: { detail: /^bad-host-call/ },
  },
  'makes too many host calls': {
    method: 'ask',
    text: Array(5).fill(log).join('\n'),
    exit: { cause: 'protocol-violation', detail: /^too-many-host-calls/ },
  },
  'writes over its stdout budget': { method: 'floodStdout', exit: { cause: 'protocol-violation', detail: /^stdout-over-budget/ } },
  'writes one endless line': {
    method: 'say',
    text: 'x'.repeat(70_000),
    exit: { cause: 'protocol-violation', detail: /^stdout-over-budget/ },
  },
  'ends without a reply': { method: 'silent', exit: { cause: 'protocol-violation', detail: /^no-reply/ } },
  'ends with a code that means something to our own runner': { method: 'leave', exit: { cause: 'exit-code', code: 78 } },
  aborts: { method: 'crash', exit: { cause: 'signal', signal: 'SIGABRT' } },
};
for (const [name, { method, text, exit }] of Object.entries(crashes))
  t.test(
    `given a plugin that ${name}, when it is called, then that action fails, is counted, and the next one works`,
    { skip },
    async (t) => {
      const real = plugins.open(t, { launch: { budgets: { [`tool ${method}`]: budget({}) } } });
      await real.arm();

      await t.rejects(real.call(method, text), { code: 'plugin-crashed' });

      await real.idle();
      t.match(real.lastExit(), exit);
      t.match(real.runtime.view(), { state: 'armed', restarts: 1, pid: null, message: /an action crashed/ });
      t.match(await real.call('echo'), { action: 'call' });
    },
  );

t.test(
  'given a plugin that writes over its stderr budget, when it is called, then the log says so and the action works',
  { skip },
  async (t) => {
    const real = plugins.open(t, { launch: { budgets: { 'tool floodStderr': budget({ stderr_bytes: 1000 }) } } });
    await real.arm();

    t.match(await real.call('floodStderr'), { action: 'call' });

    await real.heard('stderr-over-budget: 2239000 bytes');
    t.ok(real.outputs.reduce((sum, { text }) => sum + text.length, 0) < 2000);
  },
);

t.test('given a budget without host calls, when one is made, then it is not carried out', { skip }, async (t) => {
  const real = plugins.open(t, { launch: { budgets: { 'tool ask': budget({ host_calls: 0 }) } } });
  await real.arm();

  await t.rejects(real.call('ask', put), { code: 'plugin-crashed' });

  t.same(real.decisions(), []);
});

t.test('given a plugin that hangs, when the time of its method is over, then it is killed and its caller told', { skip }, async (t) => {
  const real = plugins.open(t, { launch: { budgets: { 'tool scatterAndHang': budget({ timeout_ms: 1500 }) } } });
  await real.arm();

  const called = real.call('scatterAndHang');
  called.catch(() => {});
  await real.heard('started');
  t.ok(real.pid() > 0, 'its process is shown while it runs');
  await t.rejects(called, { code: 'deadline-exceeded' });

  await real.idle();
  t.match(real.lastExit(), { cause: 'hung', signal: 'SIGKILL' });
});

t.test('given a plugin that hangs, when its caller goes, then it is killed and nothing is counted', { skip }, async (t) => {
  const real = plugins.open(t);
  await real.arm();
  const caller = new AbortController();
  const called = real.runtime.invoke('tool', 'hang', '', { timeoutMs: 60_000, signal: caller.signal });
  await real.heard('started');

  caller.abort();

  await t.rejects(called, { code: 'cancelled' });
  await real.idle();
  t.equal(real.runtime.view().restarts, 0);
});

t.test(
  'given host calls whose answers are never read, when they come faster than answers, then the plugin alone waits, and others are served',
  { skip },
  async (t) => {
    const real = plugins.open(t, {
      launch: { budgets: { 'tool neverRead': budget({ timeout_ms: 2000, stdout_bytes: 1024 * 1024, host_calls: 512 }) } },
      handlers: { 'kv.get': async () => ({ value: 'x'.repeat(60_000), revision: 1 }) },
    });
    await real.arm();
    const flood = `${Array(8)
      .fill(hostCall('kv.get', { key: 'a' }))
      .join('\n')}\n`;

    const stuck = real.call('neverRead', flood);
    stuck.catch(() => {});
    t.match(await real.call('echo'), { action: 'call' });

    await t.rejects(stuck, { code: 'deadline-exceeded' });
    t.ok(real.decisions().length < 8, 'what its pipe cannot take is not even asked');
  },
);

for (const [name, method] of Object.entries({ 'does not read the answer': 'unread', 'has closed the pipe': 'closedPipe' }))
  t.test(
    `given a plugin that asks, ${name} and replies, when it is called, then its call is carried out and its reply counts`,
    { skip },
    async (t) => {
      const real = plugins.open(t);
      await real.arm();
      t.match(await real.call(method, `${put}\n`), { action: 'call' });
      t.match(real.decisions(), [{ method: 'kv.put', verdict: 'allow' }]);
    },
  );

for (const method of ['linger', 'scatter', 'chatter', 'noisyEnd'])
  t.test(
    `given a plugin that after its reply goes on with ${method}, when it is called, then the reply counts and nothing is left running`,
    { skip },
    async (t) => {
      const real = plugins.open(t);
      await real.arm();
      const before = new Set(findDescendants(process.pid).map(({ pid }) => pid));

      t.match(await real.call(method), { action: 'call' });

      await real.idle();
      t.equal(real.runtime.view().restarts, 0);
      const names = findDescendants(process.pid).filter(({ pid }) => !before.has(pid));
      t.ok(names.length <= 1, 'at most the shell of the next pipe');
    },
  );

t.test(
  'given five crashes within ten minutes, when the fifth comes, then the plugin has failed and the breaker is stored',
  { skip },
  async (t) => {
    const real = plugins.open(t);
    await real.arm();
    for (let count = 0; count < 5; count++) {
      await t.rejects(real.call('silent'), { code: 'plugin-crashed' });
      await real.idle();
    }
    await real.reached('failed', 0);
    t.match(real.saved.at(-1), { broken: true });
    await t.rejects(real.call('echo'), { code: 'unavailable' });
  },
);

t.test(
  'given more calls than may run at once, when they come together, then some wait, the rest are refused, and all can be given up',
  { skip },
  async (t) => {
    const real = plugins.open(t);
    await real.arm();
    const callers = new AbortController();
    const call = () =>
      real.runtime.invoke('tool', 'hang', '', { timeoutMs: 60_000, signal: callers.signal }).then(
        () => 'answered',
        ({ code }) => code,
      );
    const calls = Array.from({ length: 70 }, call);
    await real.heard('started', 4);
    t.match(real.run().counters(), { running: 4, waiting: 64 });

    callers.abort();

    const codes = await Promise.all(calls);
    t.same([codes.filter((code) => code === 'rate-limited').length, codes.filter((code) => code === 'cancelled').length], [2, 68]);
    await real.idle();
    t.match(await real.call('echo'), { action: 'call' });
  },
);

t.test('given a call in progress, when the plugin is stopped, then it may finish for a while, and is killed then', { skip }, async (t) => {
  const real = plugins.open(t);
  await real.arm();
  const called = real.call('scatterAndHang');
  called.catch(() => {});
  await real.heard('started');

  await real.runtime.stop();

  await t.rejects(called, { code: 'unavailable' });
  t.match([real.runtime.view().state, real.runtime.view().restarts, real.lastExit()?.cause], ['stopped', 0, 'stopped']);
});
