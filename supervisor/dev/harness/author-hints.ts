import { HostError, PluginFault, resultNotJson } from '../../../protocol/errors.ts';
import type { Manifest } from '../../../protocol/manifest-form.ts';
import { findCageHint } from './cage-hints.ts';
import { explainDenial } from './explain-denial.ts';
import { asFailure } from './harness-events.ts';

const lookAbove = 'its last lines are in the log above; in lattice dev, r starts it again';
const ownHint = ({ said, details }: PluginFault): unknown => (said === resultNotJson ? details.hint : lookAtStack);
const lookAtStack = 'the plugin threw it; where, is in the log above';
const mostKept = 200;

/** Puts what helps the author who tries a plugin where the service names what helps its operator: the line of plugin.json, the fixture, the keys. */
export function createAdvice(manifest: () => Manifest) {
  const given = new Map<string, string>(); // by the hint that the plugin saw: that is all that is left when it throws the error on

  const withHint = (error: HostError, hint: string): HostError =>
    new HostError(error.code, error.message, { ...error.details, hint }, { cause: error.cause });

  return {
    /** For a host call that failed. */
    ofHostCall(error: HostError, params: unknown): HostError {
      const hint = findAdvice(error, manifest(), params);
      if (hint === null) return error;
      if (typeof error.details.hint === 'string' && given.size < mostKept) given.set(error.details.hint, hint);
      return withHint(error, hint);
    },
    /** For a call of the plugin that failed. */
    ofCall(error: HostError): HostError {
      if (error instanceof PluginFault)
        return new HostError(error.code, error.said, { rule: error.details.rule, hint: findCageHint(error.said) ?? ownHint(error) });
      const { hint } = error.details;
      if (typeof hint !== 'string') return error;
      const isForOperator = hint.includes('lattice plugins ') && (error.code === 'plugin-crashed' || error.code === 'unavailable');
      const advice = isForOperator ? lookAbove : given.get(hint);
      return advice === undefined ? error : withHint(error, advice);
    },
  };
}

function findAdvice(error: HostError, manifest: Manifest, params: unknown): string | null {
  const { rule, channel } = error.details;
  const fixes = explainDenial(asFailure(error), manifest, params);
  if (fixes.length > 0) return fixes.map(({ json, pointer }) => `add ${json} to plugin.json at ${pointer}`).join(', and ');
  return rule === 'channel-unknown' || rule === 'channel-not-open'
    ? `add ${JSON.stringify(channel)} to "channels" in the fixture; the operator of a server opens it there`
    : null;
}
