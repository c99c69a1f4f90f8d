import type { Database } from '../database.ts';
import type { DatabaseView, Supervisor } from '../plugin-view.ts';

type Health = ReturnType<Supervisor['health']>;

/** How the database is, for those who may read it, and what that does to the health of the service. */
export const createStorageView = (database: Pick<Database, 'fault'>, schema: number) => ({
  view(): DatabaseView {
    const fault = database.fault();
    return fault === null ? { state: 'ok', schema } : { state: 'unwritable', schema, ...fault };
  },
  /** Where nothing can be recorded nothing is done but reads: that is not ready. */
  judge(health: Health): Health {
    const fault = database.fault();
    return fault === null ? health : { ...health, ready: false, reasons: [...health.reasons, fault.detail] };
  },
});
