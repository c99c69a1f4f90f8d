import t from 'tap';
import { createHome, startService } from '../support/start-service.ts';

// What is loaded stays for as long as the service runs. Each of these was loaded at each start once, or would be a matter of one import line.
const lateBuiltins = ['internal/deps/undici/undici', 'http2', 'internal/webstreams/readablestream', 'sqlite', 'inspector', 'repl'];
const latePackages = ['better-sse', 'chokidar', 'cli-table3', 'commander', 'nodemailer', 'puppeteer-core', 'tar', 'undici', 'yaml'];
const preload = `--import=${new URL('../support/tell-modules.js', import.meta.url)}`;

t.test('given a quiet service, when it has started and was asked something, then what it may need later is not loaded', async (t) => {
  const service = await startService(createHome(t), { env: { NODE_OPTIONS: preload } });
  await service.api('GET', '/api/plugins');

  service.signal('SIGUSR2');
  const told = await service.heard(({ event }) => event === 'test.modules');

  const { packages, own, builtin } = told as unknown as Record<'packages' | 'own' | 'builtin', string[]>;
  t.ok(packages.includes('koa') && builtin.includes('http') && own.includes('supervisor/main.ts'), 'what is loaded is told');
  t.same(
    builtin.filter((name) => lateBuiltins.includes(name)),
    [],
  );
  t.same(
    packages.filter((name) => latePackages.includes(name)),
    [],
  );
  const verbs = own.filter((file) => /^supervisor\/(cli|dev|author|publish)\//.test(file));
  t.same(verbs, ['supervisor/cli/lattice.js', 'supervisor/cli/entry.ts', 'supervisor/cli/exit-codes.ts']);
});
