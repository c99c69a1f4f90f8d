import { HostError } from '../../protocol/errors.ts';
import type { ParsedParams, Result } from '../../protocol/host-methods.ts';
import type { AuditEntry } from '../audit.ts';
import type { HostCall } from '../broker.ts';
import type { Database } from '../database.ts';
import type { Channels } from '../notify/channels.ts';
import type { Outbox } from '../notify/outbox.ts';

type NotifyDeps = {
  channels: Channels;
  outbox: Outbox;
  database: Database;
  onQueued?: () => void; // tells the delivery that there is work
};

/** The handler of `notify.send`: the message and its audit row commit together, and delivery follows. */
export function createNotifySend(deps: NotifyDeps) {
  const { channels, outbox, database } = deps;

  return async function notifySend(params: ParsedParams<'notify.send'>, call: HostCall): Promise<Result<'notify.send'>> {
    const plugin = call.grant.pluginId;
    const refusal = refuseChannel(channels, params.channel, plugin);
    if (refusal !== null) {
      await database.append(denial(call.entry, refusal));
      throw refusal;
    }
    // A job that throws leaves no row: a refusal is returned, so that its audit row commits.
    const outcome = await database.write(async (tx): Promise<string | HostError> => {
      try {
        const { channel, title, text, severity } = params;
        const id = await outbox.enqueue(tx, { plugin, channel, title, text, severity });
        tx.audit(call.entry);
        return id;
      } catch (thrown) {
        if (!(thrown instanceof HostError) || thrown.code !== 'quota-exceeded') throw thrown;
        tx.audit(denial(call.entry, thrown));
        return thrown;
      }
    });
    if (outcome instanceof HostError) throw outcome;
    deps.onQueued?.();
    return { id: outcome };
  };
}

function refuseChannel(channels: Channels, name: string, plugin: string): HostError | null {
  const channel = channels.get(name);
  if (channel === undefined) {
    const hint = `the operator defines channels in the file LATTICE_NOTIFY_CHANNELS: add "${name}" under /channels`;
    return new HostError('not-found', `there is no channel ${name}`, { rule: 'channel-unknown', channel: name, hint });
  }
  if (channel.plugins.includes(plugin)) return null;
  const hint = `the operator opens a channel to a plugin: add "${plugin}" to /channels/${name}/plugins in the file LATTICE_NOTIFY_CHANNELS`;
  return new HostError('forbidden', `channel ${name} is not open to ${plugin}`, { rule: 'channel-not-open', channel: name, hint });
}

function denial(entry: AuditEntry, error: HostError): AuditEntry {
  return { ...entry, verdict: 'deny', code: error.code, rule: String(error.details.rule) };
}
