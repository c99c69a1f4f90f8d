import { HostError } from '../protocol/errors.ts';
import type { BundleStore, VerifiedBundle } from './bundle-store.ts';
import type { Reach } from './failpoints.ts';
import { requireSettable } from './operator-egress.ts';
import { type AcceptedPlugin, asOffer, isAvailable, offeredBundle, type PluginEntry, statusOf } from './plugin-entry.ts';
import { decideTransition, type Status } from './plugin-lifecycle.ts';
import type { PluginStore } from './plugin-store.ts';
import type { PluginTable } from './plugin-table.ts';
import type { Actor, RefusedBundle } from './plugin-view.ts';
import { codeOfFailedStart } from './run-record.ts';
import type { Settle } from './safeguards.ts';

export type StatusRequest = { id: string; status: Status; bundleSha256?: string; egress?: readonly string[] };
/** Who asked, and the note that goes with the first change made for them. */
type By = { actor: Actor; settle?: Settle | undefined };
type Deps = { table: PluginTable; bundles: BundleStore; store: PluginStore; isStopping(): boolean; reach: Reach };

/** Says why there is nothing to arm or accept: nothing lies there, or what does is refused. */
export const notAvailable = (id: string, refused: RefusedBundle | null): HostError =>
  refused
    ? new HostError('conflict', `the bundle of ${id} on disk is refused: ${refused.code}: ${refused.detail}`, {
        rule: 'not-available',
        refused: refused.code,
        hint: 'put a good bundle in its place and rescan: lattice plugins rescan',
      })
    : new HostError('conflict', `no verified bundle of ${id} is on disk`, {
        rule: 'not-available',
        hint: 'put the bundle back and rescan: lattice plugins rescan',
      });

export function requireOffered(entry: PluginEntry, refused: RefusedBundle | null): VerifiedBundle {
  const bundle = offeredBundle(entry);
  if (bundle) return bundle;
  throw notAvailable(entry.id, refused);
}

/** A bundle was judged when it was found; meanwhile a key may have expired, and nothing is accepted that could not be started. */
export function requireTrusted(bundles: Pick<BundleStore, 'judge'>, { manifest, text }: VerifiedBundle): void {
  const fault = bundles.judge(text, manifest.digest_sha256);
  if (fault)
    throw new HostError('verification-failed', `${fault.code}: ${fault.detail}`, {
      rule: fault.code,
      hint: 'mend the trust policy, or put a newer bundle in its place, then: lattice plugins rescan',
    });
}

/** Consent is to what was shown, and to nothing else. */
export function requireShown(shown: string | undefined, present: string, id: string): void {
  if (shown === undefined || shown === present) return;
  throw new HostError('changed-since-shown', `${id} is not the bundle that was shown`, {
    bundle_sha256: present,
    hint: `look again: lattice plugins show ${id}`,
  });
}

/** Ends at once what an upgrade has under way: the new version that is not called yet, and the old one that still has calls. */
export function abandonExchange({ incoming, outgoing }: AcceptedPlugin): Promise<unknown> {
  incoming?.giveUp.abort();
  outgoing?.hurry.abort();
  return Promise.all([incoming?.version.runtime.close(), outgoing?.version.runtime.close()]);
}

/** What leads to where somebody wants to go, or says that they are there. */
function hintOfTransition({ id, accepted }: PluginEntry, wanted: Status): string {
  if (accepted === null) return `install it first: lattice plugins install ${id}`;
  if (wanted === 'installed') return `it is installed already; what another bundle changes: lattice plugins upgrade ${id}`;
  return `what was installed stays so; to stop it: lattice plugins disable ${id}`; // verified: nobody returns to it
}

/** What is wanted stays as it was stored, and the next start of the service goes by that. */
const stoppedOnly = (id: string, error: HostError): HostError =>
  new HostError(error.code, `${id} is stopped, but that could not be stored: ${error.message}`, {
    ...error.details,
    hint: `disable it again once it can be, or it starts with the service: ${String(error.details.hint ?? '')}`,
  });

/** Takes a plugin from one status to another, and waits until it is so. */
export function createStatusChange({ table, bundles, store, isStopping, reach }: Deps) {
  async function install(entry: PluginEntry, { bundleSha256: shown, egress }: StatusRequest, by: By): Promise<void> {
    const bundle = requireOffered(entry, table.refusedOf(entry.id));
    requireShown(shown, bundle.bundleSha256, entry.id);
    requireTrusted(bundles, bundle);
    if (egress !== undefined) requireSettable(bundle.manifest, egress);
    const offer = asOffer(bundle, egress ?? []);
    await bundles.keepWhile(bundle.bundleSha256, async () => table.adopt(await store.accept(offer, by.actor.id, by.settle)));
  }

  /** Records what is wanted, arms, and takes it back to `disabled`, with the reason, when that fails. */
  async function activate(entry: PluginEntry, shown: string | undefined, { actor, settle }: By): Promise<void> {
    if (!isAvailable(entry)) throw notAvailable(entry.id, table.refusedOf(entry.id));
    const accepted = table.findAccepted(entry.id);
    requireShown(shown, accepted.record.bundleSha256, entry.id);
    accepted.record = await store.setStatus(entry.id, 'active', { actor: actor.id }, settle);
    reach('plugin.recorded');
    const { runtime } = accepted.serving;
    const armed = await runtime.arm();
    reach('plugin.armed');
    if (armed.ok || isStopping()) return;
    await runtime.stop();
    accepted.record = await store.setStatus(entry.id, 'disabled', { actor: actor.id, reason: armed.cause });
    throw new HostError(codeOfFailedStart(armed.cause), `${entry.id} could not be armed and is disabled: ${armed.message}`, {
      rule: armed.cause,
      hint: `see its last lines: lattice plugins why ${entry.id}`,
    });
  }

  async function disable(entry: PluginEntry, { actor, settle }: By): Promise<void> {
    const accepted = table.findAccepted(entry.id);
    // First: a store that cannot be written must not keep a plugin running.
    const stopped = Promise.all([accepted.serving.runtime.stop(), abandonExchange(accepted)]);
    try {
      accepted.record = await store.setStatus(entry.id, 'disabled', { actor: actor.id }, settle);
    } catch (error) {
      await stopped;
      throw error instanceof HostError && error.code === 'storage-unavailable' ? stoppedOnly(entry.id, error) : error;
    }
    await stopped;
  }

  return async function setStatus(request: StatusRequest, by: By): Promise<void> {
    const entry = table.find(request.id);
    const present = statusOf(entry);
    const decision = decideTransition(present, request.status);
    if (decision === 'forbidden') {
      throw new HostError('invalid-transition', `${request.id} is ${present}; it cannot become ${request.status}`, {
        from: present,
        to: request.status,
        hint: hintOfTransition(entry, request.status),
      });
    }
    if (request.egress !== undefined && decision !== 'installed')
      throw new HostError('invalid-params', `${request.id} is ${present}; its hosts are set with its installation, or by themselves`, {
        rule: 'egress-at-install',
        hint: `change them: lattice plugins egress ${request.id} --allow host:port`,
      });
    if (decision === 'installed') await install(entry, request, by);
    else if (decision === 'active' || decision === 'restart') await activate(entry, request.bundleSha256, by);
    else if (decision === 'disabled') await disable(entry, by);
  };
}
