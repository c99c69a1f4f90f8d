import { buildSync } from 'esbuild';
import t from 'tap';
import { errorTable, HostError, isErrorCode } from '../../protocol/errors.ts';
import { createHost } from '../../runner-child/call-host.ts';
import {
  CancelledError,
  CapabilityDeniedError,
  ConfigurationError,
  ConflictError,
  createHostCallError,
  DeadlineExceededError,
  EgressBlockedError,
  HostCallError,
  PluginError,
  QuotaExceededError,
  RateLimitedError,
} from '../../runner-child/plugin-error.ts';
import { projectRoot } from '../docs/markdown.ts';
import { testFolder } from '../support/test-folder.ts';

const own = {
  'capability-denied': CapabilityDeniedError,
  'rate-limited': RateLimitedError,
  conflict: ConflictError,
  'quota-exceeded': QuotaExceededError,
  'egress-blocked': EgressBlockedError,
  'deadline-exceeded': DeadlineExceededError,
  cancelled: CancelledError,
} as const;

for (const code of Object.keys(errorTable).filter(isErrorCode)) {
  t.test(`given a host call that ends with ${code}, when it is caught, then its class tells it from the others`, async (t) => {
    const error = createHostCallError('kv.put', code, 'why', { hint: 'so' });
    t.match(error, { code, method: 'kv.put', message: 'why', hint: 'so', details: { hint: 'so' } });
    t.ok(error instanceof HostCallError && error instanceof PluginError && error instanceof Error);
    t.notOk(error instanceof ConfigurationError);
    t.same(
      Object.entries(own).flatMap(([word, Sort]) => (error instanceof Sort ? [word] : [])),
      Object.hasOwn(own, code) ? [code] : [],
    );
  });
}

t.test('given what a refusal says, when its class is asked, then the wait, the line and its place are at hand', async (t) => {
  const limited = createHostCallError('kv.get', 'rate-limited', 'slow down', { retry_after_ms: 40 });
  t.ok(limited instanceof RateLimitedError && limited.retryAfterMs === 40);
  const denied = createHostCallError('kv.get', 'capability-denied', 'no', { pointer: '/capabilities/-', line: '"kv:read"' });
  t.ok(denied instanceof CapabilityDeniedError && denied.pointer === '/capabilities/-' && denied.line === '"kv:read"');
});

t.test('given values that are no such error, when instanceof asks, then none is taken for one', async (t) => {
  class Mine extends PluginError {}
  for (const value of [null, undefined, 1, 'conflict', {}, new Error('x'), { code: 'conflict' }, new HostError('conflict', 'x')])
    t.notOk((value as unknown) instanceof PluginError);
  t.notOk(new PluginError('conflict', 'x') instanceof HostCallError);
  t.notOk(new PluginError('conflict', 'x') instanceof Mine, 'a class of the author’s own goes by its prototype');
  t.ok(new Mine('conflict', 'x') instanceof Mine && new Mine('conflict', 'x') instanceof PluginError);
});

t.test('given the copy of the classes in an artifact, when the runner’s error is caught there, then instanceof holds', async (t) => {
  const folder = testFolder(t);
  const entry = `export { ConflictError, HostCallError, ConfigurationError } from './runner-child/define-plugin.ts';`;
  buildSync({
    stdin: { contents: entry, resolveDir: projectRoot },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'node',
    outfile: `${folder}/copy.mjs`,
  });
  const copy: typeof import('../../runner-child/define-plugin.ts') = await import(`${folder}/copy.mjs`);
  t.not(copy.ConflictError, ConflictError);
  t.ok(createHostCallError('kv.put', 'conflict', 'x', {}) instanceof copy.ConflictError);
  t.notOk(createHostCallError('kv.put', 'cancelled', 'x', {}) instanceof copy.ConflictError);
  t.ok(new copy.ConfigurationError('x') instanceof ConfigurationError);
});

t.test('given a host that refuses, when the typed client asks, then it rejects with the class and the method', async (t) => {
  const host = createHost(() => Promise.reject(new HostError('conflict', 'changed', { revision: 4 })), 1000);
  const caught = await host.kv.put({ key: 'a', value: 'b' }).catch((error: unknown) => error);
  t.ok(caught instanceof ConflictError && caught.method === 'kv.put' && caught.details.revision === 4);
});
