import t from 'tap';
import { HostError } from '../../protocol/errors.ts';
import type { RequestContext } from '../../protocol/incoming.ts';
import type { Plugin } from '../../runner-child/define-plugin.ts';
import { ConfigurationError, PluginError } from '../../runner-child/plugin-error.ts';
import { createServer } from '../../runner-child/serve.ts';
import { createFakeClock } from '../support/fake-clock.ts';

const initialize = (services: Record<string, string[]> = {}) => ({
  protocol: 1,
  accepts: [1],
  plugin: { id: 'example.test', name: 'Test', version: '1.0.0' },
  generation: 1,
  grant: { capabilities: ['kv:read'], read_buckets: [], egress: [] },
  services,
  limits: { line_bytes: 1024, in_flight: 64, call_timeout_ms: 30_000 },
  config: { colour: 'green' },
});

function open(exported: unknown) {
  const asked: unknown[] = [];
  const failed: [error: unknown, why: string][] = [];
  const clock = createFakeClock();
  const reported: unknown[] = [];
  const progress: unknown[] = [];
  const controller = new AbortController();
  const context: RequestContext = { id: 1, signal: controller.signal, progress: (value) => void progress.push(value) };
  const serve = createServer({
    importArtifact: async () => exported,
    request: async (method, params) => {
      asked.push([method, params]);
      return { value: 'v', revision: 1 };
    },
    timers: clock,
    afterAnswer: (run) => queueMicrotask(run),
    fail: (error, why) => void failed.push([error, why]),
    report: (error) => void reported.push(error),
  });
  const call = (method: string, params: unknown = {}) => serve(method, params, context);
  return { call, asked, failed, reported, progress, controller, clock };
}

const greeter: Plugin = {
  services: {
    greeter: {
      greet: async (payload, { host, plugin, config, progress }) => {
        progress(0.5);
        await host.kv.get({ key: 'a' });
        return { payload, plugin: plugin.id, colour: config.colour };
      },
      refused: () => Promise.reject(new HostError('conflict', 'it changed')),
      coded: () => Promise.reject(Object.assign(new Error('no such thing'), { code: 'not-found' })),
      own: () => Promise.reject(new PluginError('quota-exceeded', 'ten at most', { most: 10 })),
      broken: () => Promise.reject(new TypeError('boom')),
      inside: () => Promise.reject(new PluginError('internal', 'boom')),
      waits: (_payload, { signal }) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    },
  },
};
const invoke = (method: string, payload: unknown = null) => ({ service: 'greeter', method, payload, timeout_ms: 1000 });

t.test('given a plugin, when it is initialized and invoked, then its function gets payload, host, config and progress', async (t) => {
  const { call, asked, progress } = open({ default: greeter });
  t.same(await call('initialize', initialize({ greeter: ['greet'] })), { protocol: 1 });
  t.same(await call('invoke', invoke('greet', { name: 'Ada' })), { payload: { name: 'Ada' }, plugin: 'example.test', colour: 'green' });
  t.same([asked, progress], [[['kv.get', { key: 'a' }]], [0.5]]);
});

for (const [method, code, reports] of [
  ['refused', 'conflict', 0],
  ['coded', 'not-found', 0],
  ['own', 'quota-exceeded', 0],
  ['broken', 'internal', 1],
  ['inside', 'internal', 1],
  ['toString', 'method-not-found', 0],
  ['__proto__', 'method-not-found', 0],
] as const) {
  t.test(`given a plugin, when ${method} is invoked, then the caller gets ${code}`, async (t) => {
    const { call, reported } = open({ default: greeter });
    await call('initialize', initialize());
    await t.rejects(call('invoke', invoke(method)), { code });
    t.equal(reported.length, reports, 'only an unforeseen error is reported, with its stack');
  });
}

for (const [name, exported, hint] of [
  ['no default export', {}, /default export/],
  ['services that are a list of strings', { default: { services: 'greeter' } }, /"services"/],
  ['a declared method missing', { default: { services: { greeter: {} } } }, /declares greeter.greet/],
  ['a declared method inherited', { default: { services: { greeter: Object.create({ greet: () => 1 }) } } }, /declares greeter.greet/],
  [
    'more capabilities than its manifest',
    { default: { ...greeter, manifest: { capabilities: ['kv:write'] } } },
    /kv:write, which plugin.json/,
  ],
  ['a health that is no function', { default: { ...greeter, health: true } }, /"health" must be a function/],
  [
    'a background task without run',
    { default: { ...greeter, background: { refresh: { everyMs: 1000 } } } },
    /refresh has no function "run"/,
  ],
  [
    'a background task too often',
    { default: { ...greeter, background: { refresh: { everyMs: 5, run: () => 1 } } } },
    /"everyMs" of .*refresh/,
  ],
  ['an onStart that throws', { default: { ...greeter, onStart: () => Promise.reject(new Error('wrong setting')) } }, /wrong setting/],
] as const) {
  t.test(`given a plugin with ${name}, when it is initialized, then it fails with what the author must change`, async (t) => {
    const { call, failed } = open(exported);
    await t.rejects(call('initialize', initialize({ greeter: ['greet'] })), { code: 'plugin-crashed', message: hint });
    t.match(failed, [[{}, 'loadFailed']]);
  });
}

t.test('given calls before initialize, or a second one, when they come, then they are refused', async (t) => {
  const { call } = open({ default: greeter });
  await t.rejects(call('invoke', invoke('greet')), { code: 'unavailable' });
  t.same(await call('ping'), {});
  await call('initialize', initialize());
  await t.rejects(call('initialize', initialize()), { code: 'conflict' });
  await t.rejects(call('steal'), { code: 'method-not-found' });
});

t.test('given a supervisor of another protocol, when it initializes, then it is told which one is spoken', async (t) => {
  const { call } = open({ default: greeter });
  await t.rejects(call('initialize', { ...initialize(), protocol: 99 }), { code: 'unavailable', message: /protocol 1/ });
});

t.test(
  'given a call under way, when the plugin is shut down, then its signal is aborted and onShutdown has run before the answer',
  async (t) => {
    let stopped = false;
    const { call } = open({
      default: {
        ...greeter,
        onShutdown: async ({ host }) => {
          await host.kv.get({ key: 'last' });
          stopped = true;
        },
      } satisfies Plugin,
    });
    await call('initialize', initialize());
    const waiting = t.rejects(call('invoke', invoke('waits')), { code: 'cancelled' });
    await call('shutdown');
    t.ok(stopped);
    await waiting;
  },
);

t.test('given an onStart that refuses a setting, when the plugin is initialized, then it ends for its configuration', async (t) => {
  const { call, failed } = open({
    default: { ...greeter, onStart: () => Promise.reject(new ConfigurationError('"city" must be a name')) },
  });
  await t.rejects(call('initialize', initialize()), { code: 'plugin-crashed', message: /"city"/ });
  t.match(failed, [[/the configuration is refused: "city" must be a name/, 'configuration']]);
});

t.test('given an error of a method with details, when it is invoked, then the caller gets them', async (t) => {
  const { call } = open({ default: greeter });
  await call('initialize', initialize());
  await t.rejects(call('invoke', invoke('own')), { code: 'quota-exceeded', message: 'ten at most', details: { most: 10 } });
});

t.test(
  'given a health hook, when it throws, then the ping fails and the log says why; when it does not, the ping is answered',
  async (t) => {
    let well = false;
    const health = () => {
      if (!well) throw new Error('the cache is gone');
    };
    const { call, reported } = open({ default: { ...greeter, health } });
    await call('initialize', initialize());
    await t.rejects(call('ping'), { code: 'unavailable', message: /the cache is gone/ });
    well = true;
    t.same(await call('ping'), {});
    t.same(reported, ['not well: the cache is gone']);
  },
);

t.test('given background tasks, when the plugin is ready, then they run, again after each end, past faults, until shutdown', async (t) => {
  const runs: string[] = [];
  const { call, clock, reported, asked } = open({
    default: {
      ...greeter,
      background: {
        refresh: {
          everyMs: 1000,
          async run({ host }) {
            runs.push('refresh');
            await host.kv.get({ key: 'a' });
            if (asked.length === 1) throw new Error('first time');
          },
        },
        once: { run: () => void runs.push('once') },
      },
    } satisfies Plugin,
  });
  await call('initialize', initialize());
  await clock.advance(0);
  t.same(runs, ['refresh', 'once']);
  await clock.advance(2000);
  t.same(runs, ['refresh', 'once', 'refresh', 'refresh']);
  t.equal(asked.length, 3);
  t.match(reported, [{ message: 'background task refresh failed', cause: { message: 'first time' } }]);

  await call('shutdown');
  await clock.advance(10_000);
  t.equal(runs.length, 4);
  t.equal(clock.pending(), 0);
});

t.test('given a background task under way, when the plugin is shut down, then its signal ends it before the answer', async (t) => {
  let ended = false;
  const { call } = open({
    default: {
      ...greeter,
      background: {
        watch: {
          run: ({ signal }) =>
            new Promise<void>((resolve) =>
              signal.addEventListener('abort', () => {
                ended = true;
                resolve();
              }),
            ),
        },
      },
    } satisfies Plugin,
  });
  await call('initialize', initialize());
  await call('shutdown');
  t.ok(ended);
});
