import { buildSync } from 'esbuild';
import t from 'tap';
import { createRealClock } from '../../supervisor/clock.ts';
import { projectRoot } from '../docs/markdown.ts';
import { openWorkshop } from '../support/real-runtime.ts';

const workshop = await openWorkshop();

/** A plugin's main file packed as `pack` does it, run by the real runner in the real cage. */
function pack(body: string): string {
  const contents = `import { definePlugin, ConfigurationError, ConflictError } from './runner-child/define-plugin.ts';\n${body}`;
  const built = buildSync({
    stdin: { contents, resolveDir: projectRoot, loader: 'ts' },
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
  });
  return built.outputFiles[0]?.text ?? '';
}

t.test(
  'given a plugin that refuses its settings, when it is started, then it fails at once, with the reason, and is not tried again',
  async (t) => {
    const real = workshop.open(t, {
      artifact: pack(`export default definePlugin({ onStart() { throw new ConfigurationError('"city" must be a name'); } });`),
    });
    real.runtime.command('start');
    await real.reached('failed');
    t.equal(real.started.length, 1);
    t.match(real.lastExit(), { cause: 'configuration', code: 78 });
    t.ok(real.outputs.some(({ text }) => text === 'the configuration is refused: "city" must be a name'));
  },
);

t.test('given a background task, when the plugin is ready, then it asks the host without a caller, and shutdown ends it', async (t) => {
  const real = workshop.open(t, {
    artifact: pack(`export default definePlugin({
      background: { refresh: { everyMs: 100, run: ({ host }) => host.log.write({ message: 'refreshed' }) } },
      onShutdown: () => console.error('over'),
    });`),
    handlers: { 'log.write': async () => ({}) },
  });
  real.runtime.command('start');
  await real.until(() => real.decisions().filter(({ method }) => method === 'log.write').length >= 3);
  await real.runtime.stop();
  await real.heard('over');
  t.match(real.lastExit(), { cause: 'stopped' });
});

t.test('given a plugin that is not well, when it is pinged, then the ping fails, and the log tells why', async (t) => {
  const real = workshop.open(t, {
    artifact: pack(`export default definePlugin({ health() { throw new Error('the cache is gone'); } });`),
  });
  real.runtime.command('start');
  await real.reached('ready');
  await t.rejects(real.run().ping(), { code: 'unavailable', message: /the cache is gone/ });
  await real.heard('not well: the cache is gone');
});

t.test(
  'given a refused host call in an artifact, when it is caught, then its class is known there, and its word reaches the caller',
  async (t) => {
    const real = workshop.open(t, {
      artifact: pack(`export default definePlugin({ services: { tool: {
      knows: ({ host }, context) => context.host.kv.put({ key: 'a', value: 'b' }).catch((error) => error instanceof ConflictError),
      passes: (_payload, { host, progress }) => { progress('half'); return host.kv.put({ key: 'a', value: 'b' }); },
    } } });`),
      handlers: { 'kv.put': async () => Promise.reject(new (await import('../../protocol/errors.ts')).HostError('conflict', 'changed')) },
      launch: { services: { tool: ['knows', 'passes'] } },
      runnerClock: createRealClock(),
    });
    real.runtime.command('start');
    await real.reached('ready');
    t.equal(await real.invoke('knows', {}), true);
    const progress: unknown[] = [];
    const passes = real.runtime.invoke('tool', 'passes', {}, { timeoutMs: 5000, onProgress: (value) => progress.push(value) });
    await t.rejects(passes, { code: 'conflict' });
    t.same(progress, ['half']);
  },
);
