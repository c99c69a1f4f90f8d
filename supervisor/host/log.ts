import type { HostHandlers } from '../broker.ts';
import type { PluginLog } from '../plugin-log.ts';

/** Fields follow the message as JSON; the log's own format escapes line breaks, so a message cannot pass for two lines. */
export const createLogWrite =
  (logs: { of(pluginId: string): Pick<PluginLog, 'write'> }): HostHandlers['log.write'] =>
  async ({ level, message, fields }, { grant, generation }) => {
    logs.of(grant.pluginId).write(generation, 'plugin', level, fields === undefined ? message : `${message} ${JSON.stringify(fields)}`);
    return {};
  };
