import { HostError } from '../../protocol/errors.ts';

export const levels = ['none', 'restricted', 'isolated', 'isolated+cgroup'] as const; // weakest first
export type Level = (typeof levels)[number];
export const isLevel = (word: unknown): word is Level => levels.includes(word as Level); // includes compares, whatever the type

export const isAtLeast = (level: Level, floor: Level): boolean => levels.indexOf(level) >= levels.indexOf(floor);
export const higher = (a: Level, b: Level): Level => (isAtLeast(a, b) ? a : b);

/** One protection, whether the probe found it holding, and the command or setting that provides it. */
export type Layer = {
  layer: string;
  available: boolean;
  detail: string;
  howToGet: string;
  /** It may hold: something that may pass kept the probe from telling. */
  inDoubt?: true;
};

/** The layers a level stands on. */
export const layersOf: Record<Level, readonly string[]> = {
  none: [],
  restricted: ['node-permission', 'resource-limits', 'parent-death'],
  isolated: ['namespaces', 'seccomp', 'resource-limits', 'parent-death'],
  'isolated+cgroup': ['namespaces', 'seccomp', 'resource-limits', 'parent-death', 'cgroup'],
};

export type LevelRequest = {
  minimum: Level | 'auto';
  available: Level;
  engine: 'node' | 'native' | 'wasm';
  hostRisk: boolean;
  /** The probe's findings, so that a refusal can name what is missing. */
  layers?: readonly Layer[];
};
export type LevelChoice = { ok: true; level: Level } | { ok: false; error: HostError };

/** The best level there is, or a refusal when that is below what the operator, the engine or the plugin's risk asks for. */
export function chooseLevel(request: LevelRequest): LevelChoice {
  const operator = request.minimum === 'auto' ? 'restricted' : request.minimum;
  const reasons: [Level, string][] = [[operator, `the operator's minimum is ${operator}`]];
  // Only Node brings a permission model of its own: native code below isolated would have no cage at all.
  if (request.engine === 'native') reasons.push(['isolated', 'native code runs only at isolated']);
  if (request.hostRisk) reasons.push(['isolated', 'a plugin with host-risk capabilities runs only at isolated']);
  const floor = reasons.map(([level]) => level).reduce(higher);
  if (isAtLeast(request.available, floor)) return { ok: true, level: request.available };
  return { ok: false, error: refuseLevel(request, floor, reasons.find(([level]) => level === floor)?.[1] ?? '') };
}

/**
 * For a start that would be decided by what the probe could not tell. It is no verdict on the host, and neither is the lower level: whoever can
 * disturb a probe must not choose by that how plugins are caged. `passing`: it counts as a crash, and is tried again.
 */
export function refuseInDoubt(layers: readonly Layer[]): HostError {
  const open = layers.filter((row) => row.inDoubt);
  return new HostError(
    'sandbox-unavailable',
    `the probe could not tell whether the sandbox holds: ${open.map((row) => row.detail).join('; ')}`,
    {
      passing: true,
      missing: open.map(({ layer, detail, howToGet }) => ({ layer, detail, howToGet })),
      hint: 'it is probed again before the next start; lattice doctor shows what was found',
    },
  );
}

function refuseLevel({ available, layers = [] }: LevelRequest, floor: Level, reason: string): HostError {
  const needed = layersOf[floor];
  const missing = layers.filter((row) => !row.available && needed.includes(row.layer));
  const named = missing.map(({ layer, detail, howToGet }) => ({ layer, detail, howToGet }));
  return new HostError('sandbox-unavailable', `sandbox level ${floor} is needed and ${available} is available: ${reason}`, {
    needed: floor,
    available,
    missing: named,
    hint:
      named.length > 0
        ? named.map((row) => row.howToGet).join('; ')
        : `make sandbox level ${floor} available (lattice doctor shows how), or run this plugin elsewhere`,
  });
}
