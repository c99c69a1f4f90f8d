import type { ExitRecord, Health } from './plugin-store.ts';

const exitsKept = 20;
/** One of the runtimes of a plugin: it keeps its own count of crashes, and the exits of all are kept together. */
export type HealthOf = { initial: Health; save(health: Health): Promise<void> };

/**
 * What is kept of a plugin's health while it may have two runtimes: the exits of both, the newest first, and the crashes of the one that is
 * called. Crashes of one bundle do not count against another.
 */
export function createPluginHealth(initial: Health, store: (health: Health) => Promise<void>) {
  let exits: readonly ExitRecord[] = initial.exits;
  let serving: HealthOf | null = null;
  let counted: Pick<Health, 'crashTimesMs' | 'broken'> = initial;

  function persist(generation: number): Promise<void> {
    return store({ exits: [...exits], crashTimesMs: counted.crashTimesMs, broken: counted.broken, generation });
  }

  return {
    exits: (): readonly ExitRecord[] => exits,
    /** For one more runtime; `isFirst`: the one that goes on with the crashes that were stored. */
    open(isFirst: boolean): HealthOf {
      const own: HealthOf = {
        initial: { ...initial, ...(isFirst ? {} : { crashTimesMs: [], broken: false }), exits: [...exits] },
        save(health) {
          const known = new Set(exits);
          exits = [...health.exits.filter((exit) => !known.has(exit)), ...exits].slice(0, exitsKept);
          if (own === serving) counted = health;
          return persist(health.generation);
        },
      };
      if (isFirst) serving = own;
      return own;
    },
    /** From now on this one's crashes are those of the plugin. */
    serve(next: HealthOf): Promise<void> {
      serving = next;
      counted = { crashTimesMs: [], broken: false };
      return persist(0);
    },
  };
}

export type PluginHealth = ReturnType<typeof createPluginHealth>;
