import type { ChildParams } from '../protocol/child-methods.ts';
import type { Timers } from '../protocol/deadlines.ts';
import { type ErrorCode, type ErrorDetails, HostError, isErrorCode } from '../protocol/errors.ts';
import type { RequestContext } from '../protocol/incoming.ts';
import { acceptedVersions, protocolVersion } from '../protocol/version.ts';
import { runBackground } from './background.ts';
import { createHost, type Request } from './call-host.ts';
import type { Context, Plugin } from './define-plugin.ts';
import { loadPlugin } from './load-plugin.ts';
import { ConfigurationError } from './plugin-error.ts';

export type ServeDeps = {
  importArtifact(): Promise<unknown>;
  request: Request;
  timers: Timers;
  /** Runs when what this turn answers is on its way. */
  afterAnswer(run: () => void): void;
  /** The plugin cannot be used: says why on stderr and ends the process. */
  fail(error: unknown, why: 'configuration' | 'loadFailed'): void;
  report(error: unknown): void;
};

/** Answers the supervisor's calls with the plugin's functions. */
export function createServer({ importArtifact, request, timers, afterAnswer, fail, report }: ServeDeps) {
  let plugin: Plugin | null = null;
  let base: Pick<Context, 'host' | 'plugin' | 'config'> | null = null;
  let background: Promise<void> = Promise.resolve();
  const stopping = new AbortController();

  async function initialize(params: ChildParams<'initialize'>, signal: AbortSignal): Promise<unknown> {
    if (base) throw new HostError('conflict', 'initialize came twice');
    if (!acceptedVersions.includes(params.protocol)) throw new HostError('unavailable', `this runner speaks protocol ${protocolVersion}`);
    base = {
      host: createHost(request, params.limits.call_timeout_ms),
      plugin: Object.freeze(params.plugin),
      config: Object.freeze(params.config),
    };
    try {
      plugin = await loadPlugin(importArtifact, { services: params.services, capabilities: params.grant.capabilities });
      await plugin.onStart?.({ plugin: base.plugin, config: base.config, signal });
    } catch (error) {
      const isSetting = error instanceof ConfigurationError;
      fail(isSetting ? `the configuration is refused: ${messageOf(error)}` : error, isSetting ? 'configuration' : 'loadFailed');
      throw new HostError('plugin-crashed', `the plugin could not be loaded: ${messageOf(error)}`);
    }
    afterAnswer(startBackground); // host calls are possible once the answer is there
    return { protocol: protocolVersion };
  }

  function startBackground(): void {
    if (base && plugin?.background) background = runBackground(plugin.background, { ...base, signal: stopping.signal }, { timers, report });
  }

  async function invoke(params: ChildParams<'invoke'>, context: RequestContext): Promise<unknown> {
    if (!plugin || !base) throw new HostError('unavailable', 'the plugin is not initialized');
    const methods = Object.hasOwn(plugin.services ?? {}, params.service) ? plugin.services?.[params.service] : undefined;
    const method = methods && Object.hasOwn(methods, params.method) ? methods[params.method] : undefined;
    if (!method) throw new HostError('method-not-found', `the plugin has no ${params.service}.${params.method}`);
    let signal: AbortSignal | null = null;
    try {
      return await method(params.payload, {
        ...base,
        progress: (value) => context.progress(value),
        get signal() {
          signal ??= AbortSignal.any([context.signal, stopping.signal]); // most methods never look at it
          return signal;
        },
      });
    } catch (error) {
      const word = wordOf(error);
      if (word === null || word === 'internal') report(error); // one with another word is an answer, and its caller reads it
      throw asAnswer(error);
    }
  }

  async function ping(signal: AbortSignal): Promise<unknown> {
    if (!base || !plugin?.health) return {};
    try {
      await plugin.health({ ...base, signal });
    } catch (error) {
      report(`not well: ${messageOf(error)}`);
      throw new HostError('unavailable', `the plugin is not well: ${messageOf(error)}`);
    }
    return {};
  }

  async function shutdown(): Promise<unknown> {
    stopping.abort(new HostError('cancelled', 'the plugin is being stopped'));
    if (base) await Promise.all([plugin?.onShutdown?.({ ...base, signal: stopping.signal }), background]);
    return {};
  }

  return async (method: string, params: unknown, context: RequestContext): Promise<unknown> => {
    // The supervisor is trusted here: it checked what it sends against the same table.
    if (method === 'initialize') return initialize(params as ChildParams<'initialize'>, context.signal);
    if (method === 'invoke') return invoke(params as ChildParams<'invoke'>, context);
    if (method === 'ping') return ping(context.signal);
    if (method === 'shutdown') return shutdown();
    throw new HostError('method-not-found', `a plugin does not answer ${method}`);
  };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).slice(0, 1000).toWellFormed();

function wordOf(error: unknown): ErrorCode | null {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return isErrorCode(code) ? code : null;
}

/** An error with a word of the table keeps it (a refused host call, or one that the author threw so); all else is `internal`, with its message. */
function asAnswer(error: unknown): HostError {
  const details = (error as { details?: unknown } | null | undefined)?.details;
  const isPlain = typeof details === 'object' && details !== null && !Array.isArray(details);
  return new HostError(wordOf(error) ?? 'internal', messageOf(error), isPlain && wordOf(error) ? (details as ErrorDetails) : {});
}
