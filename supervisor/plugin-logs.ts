import { join } from 'node:path';
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';
import { createPluginLog, type PluginLog } from './plugin-log.ts';

/** The logs of all plugins, each made when first asked for. */
export function createPluginLogs(deps: { folder: string; runBytes: number; runs: number; clock: Clock; log: Log }) {
  const logs = new Map<string, PluginLog>();
  return {
    of(pluginId: string): PluginLog {
      const known = logs.get(pluginId) ?? createPluginLog({ ...deps, folder: join(deps.folder, pluginId) });
      logs.set(pluginId, known);
      return known;
    },
  };
}

export type PluginLogs = ReturnType<typeof createPluginLogs>;
