import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runService } from '../main.ts';
import { endWithFault } from './end-with-fault.ts';
import { packExamples } from './example-plugins.ts';
import { printWelcome } from './welcome.ts';

const projectRoot = fileURLToPath(new URL('../../', import.meta.url));

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
  const isCheckout = !env.LATTICE_PLUGIN_DIR && !env.LATTICE_PLUGIN_TRUST;
  if (isCheckout) {
    process.umask(0o077);
    mkdirSync(env.LATTICE_DATA_DIR, { recursive: true, mode: 0o700 });
    const { pluginDir, trustFile } = await packExamples(env.LATTICE_DATA_DIR, (line) => process.stdout.write(`${line}\n`));
    Object.assign(env, { LATTICE_PLUGIN_DIR: pluginDir, LATTICE_PLUGIN_TRUST: trustFile });
    env.LATTICE_NOTIFY_CHANNELS ||= writeChannels(join(env.LATTICE_DATA_DIR, 'dev', 'channels.json'));
  }
  await runService((service, config) => printWelcome(service, config, { out: process.stdout, isCheckout }));
}

/** A channel to try notifications with: they appear in the service's own log. */
function writeChannels(file: string): string {
  if (!existsSync(file))
    writeFileSync(file, `${JSON.stringify({ channels: { ops: { type: 'log', plugins: ['lattice.ssh-login-alert'] } } }, null, 2)}\n`, {
      mode: 0o600,
    });
  return file;
}

start().catch(endWithFault);
