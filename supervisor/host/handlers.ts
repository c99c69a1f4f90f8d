import type { HostHandlers } from '../broker.ts';
import type { Sql } from '../database.ts';
import type { DatabaseTurns } from '../database-turns.ts';
import type { KvStore } from '../kv-store.ts';
import type { PluginLogs } from '../plugin-logs.ts';
import { createAuditQuery } from './audit.ts';
import { createKvHandlers } from './kv.ts';
import { createLogWrite } from './log.ts';

export type HandlerDeps = {
  kv: KvStore;
  logs: PluginLogs;
  sql: Sql;
  turns: Pick<DatabaseTurns, 'lookUps' | 'pluginWalks'>;
  httpFetch: HostHandlers['http.fetch'];
  notifySend: HostHandlers['notify.send'];
};

/** One handler a host method; the compiler misses any that is not here. */
export const createHandlers = ({ kv, logs, sql, turns, httpFetch, notifySend }: HandlerDeps): HostHandlers => ({
  ...createKvHandlers(kv, turns.lookUps),
  'log.write': createLogWrite(logs),
  'http.fetch': httpFetch,
  'notify.send': notifySend,
  'audit.query': createAuditQuery(sql, turns.pluginWalks),
});
