/**
 * The moments at which a crash is tried: between any two steps that a disk or a caller could tell apart. Each is named once here, and reached
 * where its step ends. The service as it ships does nothing there; only a test's own entry program starts it with something else.
 */
export const failpoints = {
  'database.made': 'the file is there, empty and without our mark',
  'database.marked': 'the file is marked as ours, and has no schema',
  'migration.applied': 'a migration ran, its transaction is open',
  'migration.committed': 'a migration is committed, the next is not begun',
  'commit.begun': 'a transaction is open and empty',
  'commit.written': 'its jobs have written, their audit rows are not in it yet',
  'commit.recorded': 'the audit rows are in it',
  'commit.durable': 'it is committed, and nobody has been told',
  'commit.told': 'those that waited for it go on',
  'job.statement': 'one statement of a job ran',
  'audit.closed': 'decisions that a crash left open are closed',
  'audit.decided': 'the decision about an effect outside is durable, the effect has not begun',
  'audit.acted': 'the effect outside happened, its outcome is not recorded',
  'file.written': 'a small file is written, not synced',
  'file.synced': 'its bytes are synced, its name is not',
  'file.renamed': 'it has its name, which is not synced',
  'file.durable': 'its name is synced',
  'token.written': 'the text of the admin token is beside its place, nothing knows it',
  'token.recorded': 'its hash is committed',
  'token.named': 'it has its name, which is not synced',
  'kv.decided': 'what becomes of each write is decided, nothing is stored',
  'outbox.queued': 'a message is in the outbox, its audit row is not',
  'outbox.sent': 'a message was delivered, the outbox does not know',
  'outbox.settled': 'the outbox knows, the audit row is not there yet',
  'plugin.changed': 'the row of a plugin is written, the consent or the audit row is not',
  'plugin.consented': 'the consent is written',
  'plugin.superseded': 'the former version is written, the new one is not',
  'plugin.recorded': 'what is wanted of a plugin is durable, nothing was done about it',
  'plugin.armed': 'the plugin is as wanted, its caller has no answer',
  'exchange.begun': 'an upgrade is announced in the audit, the new version has not started',
  'exchange.proved': 'the new version has proved itself, and is not accepted',
  'exchange.accepted': 'the new version is accepted, the old one serves',
  'exchange.served': 'the new version serves, the old one runs',
  'staging.copied': 'the artifact is copied and synced, the manifest is not there',
  'staging.filled': 'both files are in the folder that is being filled',
  'staging.sealed': 'that folder is synced and read-only',
  'staging.named': 'it has its name, which is not synced',
  'staging.durable': 'its name is synced',
  'staging.doomed': 'a bundle that nobody needs is renamed, not removed',
  'host.answer': 'a host call is done, the plugin has no answer',
  'reply.ready': 'a request is done, its answer has not left',
  'reply.sent': 'the answer has left',
} as const;

declare const made: unique symbol;

export type Failpoint = keyof typeof failpoints;
/** Only this file can make one without a cast, and it makes one that does nothing. */
export type Reach = ((at: Failpoint) => void) & { readonly [made]: true };
/** `verifyWorker`: another entry for the threads that stage bundles, which no function can be handed to. */
export type Failpoints = { reach: Reach; verifyWorker: URL | null };

export const noFailpoints: Failpoints = { reach: (() => {}) as unknown as Reach, verifyWorker: null };
