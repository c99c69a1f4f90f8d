import type { RateClass } from '../protocol/host-methods.ts';
import type { Manifest } from '../protocol/manifest-form.ts';
import type { AuditEntry } from './audit.ts';
import { createBroker, type HostHandlers, type RateLimiters } from './broker.ts';
import { type CallsUnderWay, createCallsUnderWay } from './calls-under-way.ts';
import type { Clock } from './clock.ts';
import type { Reach } from './failpoints.ts';
import type { Log } from './log.ts';
import type { HealthOf, PluginHealth } from './plugin-health.ts';
import type { PluginLog } from './plugin-log.ts';
import type { Policy } from './policy.ts';
import { createRateLimiter } from './rate-limiter.ts';
import type { Launch, Runner } from './runner.ts';
import { createRuntime, type Runtime } from './runtime.ts';

/** A bundle of a plugin with a runtime of its own. A plugin has one, and two while one replaces the other. */
export type PluginVersion = {
  bundle: VersionBundle;
  manifest: Manifest;
  runtime: Runtime;
  calls: CallsUnderWay;
  health: HealthOf;
};
/** The exact text of the manifest, with what it pins. */
export type VersionBundle = { bundleSha256: string; manifest: string; artifactSha256: string };

export type VersionDeps = {
  runner: Runner;
  handlers: HostHandlers;
  append(entry: AuditEntry): Promise<void>;
  appendDenial(entry: AuditEntry, key: string): void;
  clock: Clock;
  log: Log;
  random(): number;
  reach?: Reach;
};
/** What the versions of one plugin share. */
export type VersionHome = {
  id: string;
  log: PluginLog;
  health: PluginHealth;
  rates: RateLimiters;
  nextGeneration(): Promise<number>;
  prepare(bundleSha256: string, generation: number): Promise<Launch>;
};

/** The calls that a plugin may make, whichever of its versions makes them. */
export function createRates(policy: Policy, clock: Clock): RateLimiters {
  const create = (name: RateClass) => createRateLimiter(policy.rates[name], clock.monotonicMs);
  return { read: create('read'), effect: create('effect'), fetch: create('fetch'), notify: create('notify'), log: create('log') };
}

export function createVersion(
  deps: VersionDeps,
  home: VersionHome,
  source: { bundle: VersionBundle; manifest: Manifest; isFirst: boolean },
): PluginVersion {
  const { bundle, manifest, isFirst } = source;
  const { clock, log, runner, random, append, appendDenial, handlers, reach } = deps;
  const calls = createCallsUnderWay();
  const health = home.health.open(isFirst);
  const runtime = createRuntime({
    id: home.id,
    runner,
    clock,
    log,
    random,
    health: health.initial,
    saveHealth: health.save,
    nextGeneration: home.nextGeneration,
    prepare: (generation) => home.prepare(bundle.bundleSha256, generation),
    createDispatch: (launch, askable) =>
      createBroker({
        grant: launch.grant,
        generation: launch.generation,
        askable,
        actor: calls.actor,
        handlers,
        rates: home.rates,
        append,
        appendDenial,
        clock,
        ...(reach ? { reach } : {}),
      }),
    append,
    onOutput: (generation, origin, text) => home.log.write(generation, origin, origin === 'supervisor' ? 'warn' : 'info', text),
  });
  return { bundle, manifest, runtime, calls, health };
}
