import { asHostError, HostError } from '../protocol/errors.ts';
import type { AuditEntry } from './audit.ts';
import { type Clock, delay } from './clock.ts';
import type { Reach } from './failpoints.ts';
import { refuseOtherPublisher } from './plugin-changes.ts';
import type { AcceptedPlugin, Outgoing } from './plugin-entry.ts';
import type { Offer, PluginRecord, PluginStore } from './plugin-store.ts';
import type { PluginVersion } from './plugin-version.ts';
import type { Actor } from './plugin-view.ts';
import { codeOfFailedStart } from './run-record.ts';
import type { Armed } from './runtime.ts';
import type { Settle } from './safeguards.ts';

/** A new version must stay ready for so long before it gets the calls: most that end soon after their start are caught while the old one serves. */
export const probationMs = 1_000;
/** Longer than any call may take: then the old version is stopped, whatever it still does. */
const finishCallsMs = 65_000;

export type ExchangeDeps = {
  store: PluginStore;
  append(entry: AuditEntry): Promise<void>;
  clock: Clock;
  probationMs: number;
  /** Throws when nothing may be started any more. */
  requireRunning(): void;
  reach: Reach;
};
type Kind = 'upgrade' | 'rollback';
type By = { actor: Actor; settle?: Settle | undefined };

/**
 * Puts one bundle of a plugin in the place of another. Of an active plugin the new one is started beside the old one, which serves until the
 * new one has proved ready; only then is it accepted, and the calls go to it. Whatever fails before leaves everything as it was.
 */
export function createExchange(deps: ExchangeDeps) {
  const { store, clock, reach } = deps;

  async function exchange(accepted: AcceptedPlugin, kind: Kind, offer: Offer, by: By): Promise<void> {
    refuseOtherPublisher(offer.bundle, accepted.record.owner); // again where it is recorded; here before anything of it runs
    if (accepted.record.status === 'active') return exchangeBeside(accepted, kind, offer, by);
    const record = await store.setBundle(kind, offer, by.actor.id, by.settle);
    await accepted.serving.runtime.close(); // it is stopped already; nothing starts it again
    serve(accepted, record, accepted.openVersion(record));
  }

  async function exchangeBeside(accepted: AcceptedPlugin, kind: Kind, offer: Offer, { actor, settle }: By): Promise<void> {
    const { id } = accepted.record;
    const version = accepted.openVersion(offer.bundle);
    const giveUp = new AbortController();
    const requireWanted = () => {
      deps.requireRunning();
      if (giveUp.signal.aborted) throw givenUp(id, kind);
    };
    accepted.incoming = { version, giveUp };
    try {
      await accepted.outgoing?.gone; // never three at once
      await noteBegin(accepted.record, kind, offer, actor); // durable before the first new byte runs
      reach('exchange.begun');
      requireWanted();
      const armed = await armOnProbation(version, giveUp.signal);
      requireWanted();
      if (!armed.ok) throw failed(accepted, kind, armed);
      reach('exchange.proved');
      const record = await store.setBundle(kind, offer, actor.id, settle);
      reach('exchange.accepted');
      const former = accepted.serving;
      // Who disabled it while it was being recorded has ended this runtime for good; the next start needs another.
      serve(accepted, record, giveUp.signal.aborted ? accepted.openVersion(record) : version);
      accepted.outgoing = retire(accepted, former);
      reach('exchange.served');
    } catch (error) {
      await version.runtime.close();
      accepted.incoming = null;
      const { code, details } = asHostError(error);
      await noteFailure(id, kind, actor, typeof details.rule === 'string' ? details.rule : code);
      throw error;
    }
  }

  async function armOnProbation({ runtime }: PluginVersion, signal: AbortSignal): Promise<Armed> {
    const armed = await runtime.arm();
    if (!armed.ok) return armed;
    const { generation } = runtime.view();
    await delay(clock, deps.probationMs, signal).catch(() => {}); // who gave it up says so
    if (runtime.state() === 'ready' && runtime.view().generation === generation) return armed;
    const [exit] = runtime.why().exits;
    return { ok: false, cause: exit?.cause ?? 'stopped', message: runtime.view().message ?? 'it did not stay ready' };
  }

  /** In one step, so that every call goes to exactly one of the two. */
  function serve(accepted: AcceptedPlugin, record: PluginRecord, version: PluginVersion): void {
    accepted.record = record;
    accepted.serving = version;
    accepted.incoming = null;
    accepted.health.serve(version.health).catch(() => {}); // the record says so already
  }

  /** Lets the former version finish the calls it has, and ends it. */
  function retire(accepted: AcceptedPlugin, version: PluginVersion): Outgoing {
    const hurry = new AbortController();
    async function finish(): Promise<void> {
      await Promise.race([version.calls.whenNone(), delay(clock, finishCallsMs, hurry.signal).catch(() => {})]);
      hurry.abort(); // nobody waits any more
      await version.runtime.close();
      if (accepted.outgoing === outgoing) accepted.outgoing = null;
    }
    const outgoing: Outgoing = { version, hurry, gone: Promise.resolve() };
    outgoing.gone = finish();
    return outgoing;
  }

  function noteBegin(record: PluginRecord, kind: Kind, { bundle, terms }: Offer, actor: Actor): Promise<void> {
    const { capabilities, egress } = terms;
    const summary = { change: `${kind}-begun`, from: record.version, to: bundle.version, bundle_sha256: bundle.bundleSha256, capabilities };
    return deps.append({
      kind: 'plugin.status',
      plugin: record.id,
      actor: actor.id,
      summary: JSON.stringify({ ...summary, egress_hosts: egress.length }),
    });
  }

  async function noteFailure(plugin: string, kind: Kind, actor: Actor, code: string): Promise<void> {
    const entry: AuditEntry = {
      kind: 'plugin.status',
      plugin,
      actor: actor.id,
      code,
      summary: JSON.stringify({ change: `${kind}-failed` }),
    };
    await deps.append(entry).catch(() => {}); // the one that called is told as well
  }

  return exchange;
}

const givenUp = (id: string, kind: Kind): HostError =>
  new HostError('conflict', `the ${kind} of ${id} was given up, because it is being disabled`, {
    rule: 'given-up',
    hint: `activate it, then ${kind} it again`,
  });

/** The old version was not touched, so what it is now is what it was before. */
function failed({ record, serving }: AcceptedPlugin, kind: Kind, armed: Armed & { ok: false }): HostError {
  const { state } = serving.runtime.view();
  return new HostError(
    codeOfFailedStart(armed.cause),
    `the ${kind} of ${record.id} did not become ready, so version ${record.version} stays, and is ${state}: ${armed.message}`,
    { rule: armed.cause, hint: `see its last lines: lattice plugins why ${record.id}` },
  );
}
