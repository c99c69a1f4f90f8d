import { HostError } from '../protocol/errors.ts';
import type { Clock } from './clock.ts';
import type { Config } from './config.ts';
import type { Database } from './database.ts';
import type { Reach } from './failpoints.ts';
import { parseEgressAllow } from './host/egress-rules.ts';
import { createGuardedClient } from './host/guarded-client.ts';
import { createHttpFetch } from './host/http-fetch.ts';
import { createNotifySend } from './host/notify.ts';
import type { Log } from './log.ts';
import { loadChannels, noChannels } from './notify/channels.ts';
import { createDelivery } from './notify/delivery.ts';
import { createOutbox } from './notify/outbox.ts';
import type { PluginLogs } from './plugin-logs.ts';

export type NetworkDeps = {
  config: Config;
  clock: Clock;
  log: Log;
  database: Database;
  logs: PluginLogs;
  uid: number;
  reach: Reach;
};

/** All that speaks to the world outside, and what only it needs: the fetches of plugins, and notifications on their way to a channel. */
export async function openNetwork({ config, clock, log, database, logs, uid, reach }: NetworkDeps) {
  const { allow, faults } = parseEgressAllow(config.egressAllow);
  if (faults.length > 0)
    throw new HostError('invalid-params', `LATTICE_EGRESS_ALLOW: ${faults.join('; ')}`, { hint: '<plugin id>=<cidr>[:port],…' });
  const client = createGuardedClient({ clock });
  const channels = config.notifyChannels === null ? noChannels : await loadChannels({ file: config.notifyChannels, uid });
  const outbox = createOutbox({ clock });
  const delivery = createDelivery({
    database,
    outbox,
    channels,
    client,
    log,
    clock,
    reach,
    pluginLog: (id, message) => logs.of(id).write(0, 'supervisor', 'warn', message),
  });
  return {
    client,
    channels,
    delivery,
    httpFetch: createHttpFetch({ client, allow }),
    notifySend: createNotifySend({ channels, outbox, database, onQueued: () => delivery.wake() }),
  };
}
