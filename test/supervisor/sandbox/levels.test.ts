import t from 'tap';
import { HostError } from '../../../protocol/errors.ts';
import { chooseLevel, isAtLeast, type Layer, type Level, type LevelRequest, levels } from '../../../supervisor/sandbox/levels.ts';

const engines: LevelRequest['engine'][] = ['node', 'native', 'wasm'];
const minima: LevelRequest['minimum'][] = ['auto', ...levels];

function* everyRequest(): Generator<LevelRequest> {
  for (const minimum of minima)
    for (const available of levels)
      for (const engine of engines) for (const hostRisk of [false, true]) yield { minimum, available, engine, hostRisk };
}

/** The rules once more, written the other way round: what would be too little. */
function isTooLittle({ minimum, available, engine, hostRisk }: LevelRequest): boolean {
  const caged = available === 'isolated' || available === 'isolated+cgroup';
  if ((engine === 'native' || hostRisk) && !caged) return true;
  if (minimum === 'isolated+cgroup') return available !== 'isolated+cgroup';
  if (minimum === 'isolated') return !caged;
  if (minimum === 'none') return false;
  return available === 'none'; // auto and restricted
}

t.test(
  'given every minimum, engine, risk and what is available, when a level is chosen, then it is the best one or a refusal',
  async (t) => {
    const requests = [...everyRequest()];

    for (const request of requests) {
      const choice = chooseLevel(request);
      const name = JSON.stringify(request);
      if (isTooLittle(request)) t.match(choice, { ok: false, error: { code: 'sandbox-unavailable' } }, name);
      else t.same(choice, { ok: true, level: request.available }, name);
    }

    t.equal(requests.length, 5 * 4 * 3 * 2);
  },
);

t.test('given a layer that is missing, when a level is refused, then the refusal names it and the command that provides it', async (t) => {
  const layer = (name: string, available: boolean): Layer => ({ layer: name, available, detail: `${name} is so`, howToGet: `get ${name}` });
  const layers = [layer('namespaces', false), layer('seccomp', true), layer('cgroup', false), layer('resource-limits', true)];

  const choice = chooseLevel({ minimum: 'isolated', available: 'restricted', engine: 'node', hostRisk: false, layers });

  const error = choice.ok ? null : choice.error;
  t.ok(error instanceof HostError);
  t.match(error?.details, {
    needed: 'isolated',
    available: 'restricted',
    missing: [{ layer: 'namespaces', detail: 'namespaces is so', howToGet: 'get namespaces' }],
    hint: 'get namespaces',
  });
  t.same(Array.isArray(error?.details.missing) && error.details.missing.length, 1, 'a cgroup is not needed for it');
});

t.test('given a refusal without findings, when it is read, then it still says what to do', async (t) => {
  const choice = chooseLevel({ minimum: 'auto', available: 'none', engine: 'node', hostRisk: false });
  t.match(choice, { ok: false, error: { details: { hint: /lattice doctor/ } } });
});

t.test('given the order of levels, when they are compared, then each is at least itself and what is weaker', async (t) => {
  const strength: Record<Level, number> = { none: 0, restricted: 1, isolated: 2, 'isolated+cgroup': 3 };
  for (const a of levels) for (const b of levels) t.equal(isAtLeast(a, b), strength[a] >= strength[b], `${a} and ${b}`);
});
