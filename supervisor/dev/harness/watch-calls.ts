import { asHostError, type HostError } from '../../../protocol/errors.ts';
import type { BrokerDeps, Dispatch } from '../../broker.ts';
import { printable } from '../../broker.ts';
import type { Clock } from '../../clock.ts';
import type { Fix } from './explain-denial.ts';
import { type AnsweredBy, asFailure, type Failure, type NewEvent, type Outcome } from './harness-events.ts';
import { isSecretName } from './secret-forms.ts';

type Deps = {
  clock: Clock;
  learn(secret: unknown): void;
  tell(event: NewEvent): void;
  nextId(): number;
  gate(): Promise<void> | null;
  explain(failure: Failure, params: unknown): Fix[];
  advise(error: HostError, params: unknown): HostError;
};

/** Tells of every host call with its verdict and duration, and holds one back while a developer looks at it. */
export function createCallWatch({ clock, learn, tell, nextId, gate, explain, advise }: Deps) {
  let denied = false;
  const byFixture = new WeakSet<object>();

  return {
    /** The broker's word that it refused: it says so in the same breath in which it is asked. */
    appendDenial: (() => {
      denied = true;
    }) satisfies BrokerDeps['appendDenial'],
    /** The fixture's word that it answered the call with this signal. */
    answeredByFixture: (signal: AbortSignal): void => void byFixture.add(signal),
    watch:
      (dispatch: Dispatch): Dispatch =>
      async (rawMethod, rawParams, context) => {
        const [id, method, params] = [nextId(), printable(rawMethod), rawParams];
        const isSecret = method.startsWith('kv.') && isSecretName(String(fieldOf(params, 'key') ?? ''));
        if (isSecret) learn(fieldOf(params, 'value'));
        tell({ kind: 'host-call', id, method, params });
        const held = gate();
        if (held) {
          tell({ kind: 'paused', id, method, params });
          await held;
        }
        const began = clock.monotonicMs();
        denied = false;
        const answer = dispatch(rawMethod, rawParams, context);
        const refused = denied;
        const end = (outcome: Outcome): void => {
          const by: AnsweredBy = refused ? 'broker' : byFixture.has(context.signal) ? 'fixture' : 'mock';
          const ms = clock.monotonicMs() - began;
          tell({
            kind: 'host-answer',
            id,
            method,
            params,
            verdict: refused ? 'deny' : 'allow',
            by,
            ms,
            outcome,
            fixes: outcome.ok ? [] : explain(outcome.error, params),
          });
        };
        try {
          const result = await answer;
          if (isSecret) learn(fieldOf(result, 'value')); // before it is on its way to the plugin, and in a record
          end({ ok: true, result });
          return result;
        } catch (thrown) {
          end({ ok: false, error: asFailure(advise(asHostError(thrown), params)) });
          throw thrown;
        }
      },
  };
}

const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
