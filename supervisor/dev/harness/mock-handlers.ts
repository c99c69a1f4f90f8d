import { HostError } from '../../../protocol/errors.ts';
import { type HostMethod, hostMethodNames, hostMethods } from '../../../protocol/host-methods.ts';
import type { HostCall, HostHandlers } from '../../broker.ts';
import { type Clock, delay } from '../../clock.ts';
import type { Database } from '../../database.ts';
import { createDatabaseTurns } from '../../database-turns.ts';
import { createAuditQuery } from '../../host/audit.ts';
import type { GuardedClient } from '../../host/guarded-client.ts';
import { createHttpFetch } from '../../host/http-fetch.ts';
import { createKvHandlers } from '../../host/kv.ts';
import { createLogWrite } from '../../host/log.ts';
import { createNotifySend } from '../../host/notify.ts';
import type { KvStore } from '../../kv-store.ts';
import type { Channel } from '../../notify/channels.ts';
import { createOutbox } from '../../notify/outbox.ts';
import type { FixtureStep } from '../fixture/fixture-schema.ts';
import type { CallMatcher } from '../fixture/match-fixture.ts';

export type Captured = { id: string; channel: string; title: string; text: string; severity: string };
export type MockDeps = {
  kv: KvStore;
  database: Database;
  clock: Clock;
  client: GuardedClient;
  /** Channels that are open; null: whatever the plugin names. */
  channels: readonly string[] | null;
  onLog(level: string, text: string): void;
  onNotification(captured: Captured): void;
};

/** The service's own handlers; only what would leave the machine is caught: connections, log files, notifications. */
export function createMockHandlers({ kv, database, clock, client, channels, onLog, onNotification }: MockDeps): HostHandlers {
  const turns = createDatabaseTurns(clock);
  const open = new Map<string, Channel>();
  const openTo = (name: string, plugin: string) => void open.set(name, { type: 'log', plugins: [plugin] });
  const send = createNotifySend({ channels: open, outbox: createOutbox({ clock }), database });
  return {
    ...createKvHandlers(kv, turns.lookUps),
    'log.write': createLogWrite({ of: () => ({ write: (_generation, _source, level, text) => onLog(level, text) }) }),
    'http.fetch': createHttpFetch({ client, allow: new Map() }),
    async 'notify.send'(params, call) {
      if (channels === null || channels.includes(params.channel)) openTo(params.channel, call.grant.pluginId);
      const { id } = await send(params, call);
      const { channel, title, text, severity } = params;
      onNotification({ id, channel, title, text, severity });
      return { id };
    },
    'audit.query': createAuditQuery(database.read, turns.pluginWalks),
  };
}

/** Puts the lines of a fixture before the handlers. They stand behind the broker: what it refuses, no line can allow. */
export function applyFixture(
  handlers: HostHandlers,
  { matcher, clock, database, onAnswer }: { matcher: CallMatcher; clock: Clock; database: Database; onAnswer(call: HostCall): void },
): HostHandlers {
  async function answer(method: HostMethod, { result, error }: FixtureStep, call: HostCall): Promise<unknown> {
    onAnswer(call);
    if (hostMethods[method].effect === 'database') await database.append(call.entry); // the handler would have done so
    if (!error) return result;
    const { code, message, details } = error;
    throw new HostError(code, message ?? `${method} fails: the fixture says so`, { rule: 'fixture', ...details });
  }
  const wrapped = hostMethodNames.map((method) => {
    // The row that names the method also picked its handler; TypeScript cannot correlate the two.
    const handle = handlers[method] as (params: unknown, call: HostCall) => Promise<unknown>;
    const withFixture = async (params: unknown, call: HostCall): Promise<unknown> => {
      const found = matcher.find(method, params);
      if (found?.step.delay_ms) await delay(clock, found.step.delay_ms, call.signal);
      return found && (found.step.result !== undefined || found.step.error) ? answer(method, found.step, call) : handle(params, call);
    };
    return [method, withFixture];
  });
  return Object.fromEntries(wrapped) as HostHandlers; // one a method, each with the types of the handler it stands for
}
