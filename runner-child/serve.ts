import type { ChildParams } from '../protocol/child-methods.ts';
import { type ErrorCode, HostError, isErrorCode } from '../protocol/errors.ts';
import type { RequestContext } from '../protocol/incoming.ts';
import { acceptedVersions, protocolVersion } from '../protocol/version.ts';
import { createHost, type Request } from './call-host.ts';
import type { Context, Plugin } from './define-plugin.ts';
import { loadPlugin } from './load-plugin.ts';

export type ServeDeps = {
  importArtifact(): Promise<unknown>;
  request: Request;
  /** The plugin cannot be used: says why on stderr and ends the process. */
  fail(error: unknown): void;
  report(error: unknown): void;
};

/** Answers the supervisor's calls with the plugin's functions. */
export function createServer({ importArtifact, request, fail, report }: ServeDeps) {
  let plugin: Plugin | null = null;
  let base: Pick<Context, 'host' | 'plugin' | 'config'> | null = null;
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
      plugin = await loadPlugin(importArtifact, params.services);
      await plugin.onStart?.({ plugin: base.plugin, config: base.config, signal });
    } catch (error) {
      fail(error);
      throw new HostError('plugin-crashed', `the plugin could not be loaded: ${messageOf(error)}`);
    }
    return { protocol: protocolVersion };
  }

  async function invoke(params: ChildParams<'invoke'>, context: RequestContext): Promise<unknown> {
    if (!plugin || !base) throw new HostError('unavailable', 'the plugin is not initialized');
    const methods = Object.hasOwn(plugin.services ?? {}, params.service) ? plugin.services?.[params.service] : undefined;
    const method = methods && Object.hasOwn(methods, params.method) ? methods[params.method] : undefined;
    if (!method) throw new HostError('method-not-found', `the plugin has no ${params.service}.${params.method}`);
    const ours = base;
    try {
      return await method(params.payload, {
        ...ours,
        progress: (value) => context.progress(value),
        get signal() {
          return AbortSignal.any([context.signal, stopping.signal]);
        },
      });
    } catch (error) {
      if (!(error instanceof HostError)) report(error);
      throw asAnswer(error);
    }
  }

  async function shutdown(): Promise<unknown> {
    stopping.abort(new HostError('cancelled', 'the plugin is being stopped'));
    if (base) await plugin?.onShutdown?.({ ...base, signal: stopping.signal });
    return {};
  }

  return async (method: string, params: unknown, context: RequestContext): Promise<unknown> => {
    // The supervisor is trusted here: it checked what it sends against the same table.
    if (method === 'initialize') return initialize(params as ChildParams<'initialize'>, context.signal);
    if (method === 'invoke') return invoke(params as ChildParams<'invoke'>, context);
    if (method === 'ping') return {};
    if (method === 'shutdown') return shutdown();
    throw new HostError('method-not-found', `a plugin does not answer ${method}`);
  };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).slice(0, 1000).toWellFormed();

/** An error with a word of the table keeps it (a refused host call, or one that the author threw so); all else is `internal`, with its message. */
function asAnswer(error: unknown): HostError {
  const code: ErrorCode = isErrorCode((error as { code?: unknown } | null)?.code) ? (error as { code: ErrorCode }).code : 'internal';
  return new HostError(code, messageOf(error), error instanceof HostError ? error.details : {});
}
