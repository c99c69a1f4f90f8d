import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runService } from '../main.ts';
import { developmentPolicy, ensureDevelopmentKey } from './development-key.ts';
import { packPlugin, placeBundle } from './pack-plugin.ts';
import { printWelcome } from './welcome.ts';

const projectRoot = fileURLToPath(new URL('../../', import.meta.url));
const sources = join(projectRoot, 'plugins');

/**
 * `npm start`: the service as a developer wants it. What is not set in the environment gets a value that fits a checkout; only when neither
 * the plugin directory nor the trust policy is set are the example plugins packed and signed, with a key made on this machine.
 */
async function start(): Promise<void> {
  const env = process.env;
  env.LATTICE_DATA_DIR = resolve(projectRoot, env.LATTICE_DATA_DIR || 'var');
  env.LATTICE_SANDBOX ||= 'auto';
  env.LATTICE_LOG_LEVEL ||= 'warn';
  if (process.getuid?.() === 0 && !env.LATTICE_RUN_AS) env.LATTICE_ALLOW_ROOT ||= '1';
  if (!env.LATTICE_PLUGIN_DIR && !env.LATTICE_PLUGIN_TRUST) await packExamples(env.LATTICE_DATA_DIR, env);
  await runService((service, config) => printWelcome(service, config, process.stdout));
}

async function packExamples(dataDir: string, env: NodeJS.ProcessEnv): Promise<void> {
  process.umask(0o077);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const { key, created } = ensureDevelopmentKey(dataDir);
  if (created)
    process.stdout.write('made a key on this machine to sign the example plugins with (dev/publisher.key in the data directory)\n');
  env.LATTICE_PLUGIN_DIR = join(dataDir, 'plugins');
  env.LATTICE_PLUGIN_TRUST = join(dataDir, 'dev', 'trust.json');
  mkdirSync(env.LATTICE_PLUGIN_DIR, { recursive: true, mode: 0o700 });
  writeFileSync(env.LATTICE_PLUGIN_TRUST, developmentPolicy(key), { mode: 0o600 });
  for (const folder of readdirSync(sources)
    .filter((name) => existsSync(join(sources, name, 'plugin.json')))
    .sort()) {
    const packed = await packPlugin(join(sources, folder), key);
    if (placeBundle(packed, env.LATTICE_PLUGIN_DIR)) process.stdout.write(`packed and signed ${packed.id}\n`);
  }
  env.LATTICE_NOTIFY_CHANNELS ||= writeChannels(join(dataDir, 'dev', 'channels.json'));
}

/** A channel to try notifications with: they appear in the service's own log. */
function writeChannels(file: string): string {
  if (!existsSync(file))
    writeFileSync(file, `${JSON.stringify({ channels: { ops: { type: 'log', plugins: ['lattice.ssh-login-alert'] } } }, null, 2)}\n`, {
      mode: 0o600,
    });
  return file;
}

start().catch((error: unknown) => {
  process.stderr.write(`lattice: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
