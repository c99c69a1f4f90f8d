import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { asHostError, HostError } from '../protocol/errors.ts';
import { parseJson } from '../protocol/parse-json.ts';
import { exitCodeOf } from './cli/exit-codes.ts';
import { type Clock, createRealClock } from './clock.ts';
import { type Config, readConfig } from './config.ts';
import { asDiskError } from './disk-fault.ts';
import { type Failpoints, noFailpoints } from './failpoints.ts';
import { createLog, type Log } from './log.ts';
import { limitErrors } from './log-limiter.ts';
import { findPackageRoot } from './package-root.ts';
import { settleRoot } from './root.ts';
import type { Runner } from './runner.ts';
import { createNoopRunner } from './runner-noop.ts';
import { type Service, startService } from './service.ts';

const packageJson = join(findPackageRoot(), 'package.json');
const stopMostMs = 8_000;
/** How much garbage V8 gathers beyond what lives before it looks at all of it: half as much again. Left to itself it takes up to four times, and keeps that. */
const heapGrowth = '--heap-growing-percent=50';

/**
 * Runs the service until it is told to stop: SIGTERM or SIGINT stop it, SIGHUP reads the trust policy again and rescans. A fault at start is
 * printed, with what mends it, and ends the process with the exit code of its word (2 for a faulty configuration).
 */
export async function runService(
  onReady: (service: Service, config: Config) => void = () => {},
  failpoints: Failpoints = noFailpoints,
): Promise<void> {
  process.umask(0o077);
  setFlagsFromString(heapGrowth); // asked at each collection, so it may be set while the program runs
  try {
    const config = readConfig(process.env);
    const warning = settleRoot(config, process);
    if (warning !== null) process.stderr.write(`warning: ${warning}\n`);
    const clock = createRealClock();
    const log = limitErrors(createLog(config.logLevel), clock);
    process.on('exit', log.close);
    process.on('unhandledRejection', (reason) => log.error('fault', { error: describe(reason) })); // a part's fault stays its own
    const { version } = parseJson(readFileSync(packageJson, 'utf8')) as { version: string };
    const service = await startService({
      config,
      clock,
      log,
      version,
      uid: process.getuid?.() ?? -1,
      random: Math.random,
      failpoints,
      createRunner: () => createRunner(config, log, clock),
    });
    takeSignals(service, log);
    onReady(service, config);
  } catch (thrown) {
    const error = asHostError(asDiskError(thrown));
    const hint = typeof error.details.hint === 'string' ? `\n  ${error.details.hint}` : '';
    process.stderr.write(`lattice: ${error.code === 'internal' ? describe(error.cause ?? error) : error.message}${hint}\n`);
    process.exit(exitCodeOf(error));
  }
}

function takeSignals(service: Service, log: Log): void {
  let stopping = false;
  async function stop(reason: string, code: number): Promise<void> {
    if (stopping) return;
    stopping = true;
    log.info('service.stopping', { reason });
    // Nothing that hangs may keep the process: children die with it.
    setTimeout(() => process.exit(1), stopMostMs).unref();
    await service.stop().catch((error: unknown) => log.error('service.stop', { error: describe(error) }));
    process.exit(code);
  }
  process.on('SIGTERM', () => void stop('SIGTERM', 0));
  process.on('SIGINT', () => void stop('SIGINT', 0));
  process.on('SIGHUP', () => void service.reload().catch((error: unknown) => log.error('service.reload', { error: describe(error) })));
  process.on('uncaughtException', (error) => {
    log.error('fault', { error: describe(error) });
    void stop('fault', 1);
  });
}

async function createRunner(config: Config, log: Log, clock: Clock): Promise<Runner> {
  if (config.runner === 'noop') return createNoopRunner();
  const { openSubprocessRunner } = await import('./open-subprocess-runner.ts');
  return openSubprocessRunner(config, log, { clock, startedBySystemd: Boolean(process.env.INVOCATION_ID) });
}

const describe = (error: unknown): string =>
  error instanceof Error ? (error instanceof HostError ? error.message : (error.stack ?? error.message)) : String(error);
