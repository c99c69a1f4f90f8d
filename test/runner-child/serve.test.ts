import t from 'tap';
import { HostError } from '../../protocol/errors.ts';
import type { RequestContext } from '../../protocol/incoming.ts';
import type { Plugin } from '../../runner-child/define-plugin.ts';
import { createServer } from '../../runner-child/serve.ts';

const initialize = (services: Record<string, string[]> = {}) => ({
  protocol: 1,
  accepts: [1],
  plugin: { id: 'example.test', name: 'Test', version: '1.0.0' },
  generation: 1,
  grant: { capabilities: [], read_buckets: [], egress: [] },
  services,
  limits: { line_bytes: 1024, in_flight: 64, call_timeout_ms: 30_000 },
  config: { colour: 'green' },
});

function open(exported: unknown) {
  const asked: unknown[] = [];
  const failed: unknown[] = [];
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
    fail: (error) => void failed.push(error),
    report: (error) => void reported.push(error),
  });
  return { call: (method: string, params: unknown = {}) => serve(method, params, context), asked, failed, reported, progress, controller };
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
      broken: () => Promise.reject(new TypeError('boom')),
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
  ['coded', 'not-found', 1],
  ['broken', 'internal', 1],
  ['toString', 'method-not-found', 0],
  ['__proto__', 'method-not-found', 0],
] as const) {
  t.test(`given a plugin, when ${method} is invoked, then the caller gets ${code}`, async (t) => {
    const { call, reported } = open({ default: greeter });
    await call('initialize', initialize());
    await t.rejects(call('invoke', invoke(method)), { code });
    t.equal(reported.length, reports, 'an unforeseen error is reported with its stack');
  });
}

for (const [name, exported, hint] of [
  ['no default export', {}, /default export/],
  ['services that are a list of strings', { default: { services: 'greeter' } }, /"services"/],
  ['a declared method missing', { default: { services: { greeter: {} } } }, /declares greeter.greet/],
  ['a declared method inherited', { default: { services: { greeter: Object.create({ greet: () => 1 }) } } }, /declares greeter.greet/],
  ['an onStart that throws', { default: { ...greeter, onStart: () => Promise.reject(new Error('wrong setting')) } }, /wrong setting/],
] as const) {
  t.test(`given a plugin with ${name}, when it is initialized, then it fails with what the author must change`, async (t) => {
    const { call, failed } = open(exported);
    await t.rejects(call('initialize', initialize({ greeter: ['greet'] })), { code: 'plugin-crashed', message: hint });
    t.equal(failed.length, 1);
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
