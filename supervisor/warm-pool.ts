import { isDeepStrictEqual } from 'node:util';
import type { Timers } from '../protocol/deadlines.ts';
import { defaultResources } from '../protocol/manifest.ts';
import type { CagedChild } from './caged-child.ts';
import type { CageRequest } from './plan-child.ts';
import type { Exit, Launch } from './runner.ts';
import { encodeArtifact } from './sandbox/boot.ts';
import { nameWaitingCell } from './sandbox/cell-names.ts';
import { laterArtifactMost } from './sandbox/launch.ts';
import type { Level } from './sandbox/levels.ts';
import type { Tools } from './sandbox/tools.ts';

/** What a waiting child was made for; one that was made for anything else is never given out. */
export type Profile = { level: Level; disableUserns: boolean; tools: Tools };

export type WarmPoolDeps = {
  size: number;
  spawn(request: CageRequest): Promise<CagedChild>;
  timers: Timers;
  /** One ended although nobody used it yet. */
  onLost(exit: Exit): void;
};
export type WarmPool = ReturnType<typeof createWarmPool>;

/** Until no start was asked for so long: what is made in advance must not delay what is wanted now. */
const quietMs = 250;

/**
 * Caged children that have loaded our runner and wait for an artifact. Each serves one plugin, once, and is as tight as any: the same plan, with
 * the resources that a manifest has when it says nothing. Made only after a plugin was started that could have used one.
 */
export function createWarmPool({ size, spawn, timers, onLost }: WarmPoolDeps) {
  type Waiting = { profile: Profile; caged: CagedChild; ended: Promise<void>; adopt(tell: (exit: Exit) => void): void };
  let waiting: Waiting[] = [];
  const ours = new Set<Waiting>(); // until it has ended or was taken: one that nobody can get any more still has its cell
  let wanted: Profile | null = null;
  let timer: ReturnType<Timers['timer']> | null = null;
  let filling = Promise.resolve();
  let closed = false;
  let made = 0;

  /** From the moment it is spawned somebody hears of its end: first the pool, then who took it. */
  function keep(profile: Profile, caged: CagedChild): Waiting {
    const ended = Promise.withResolvers<void>();
    let tell = (exit: Exit): void => {
      waiting = waiting.filter((each) => each !== one);
      void caged.cell.close(exit).then(() => {
        ours.delete(one);
        ended.resolve();
      });
      if (!closed) onLost(exit);
    };
    caged.onExit((exit) => tell(exit));
    const one: Waiting = {
      profile,
      caged,
      ended: ended.promise,
      adopt(owner) {
        tell = owner;
      },
    };
    ours.add(one);
    return one;
  }

  async function fill(): Promise<void> {
    while (!closed && wanted !== null && waiting.length < size) {
      const profile = wanted;
      const { level, disableUserns } = profile;
      const program = { engine: 'node', artifact: 'later', title: 'lattice plugin (waiting)' } as const;
      const request = { name: nameWaitingCell(++made), level, disableUserns, resources: defaultResources, program };
      const one = keep(profile, await spawn(request));
      waiting.push(one);
      if (closed) one.caged.contained.kill();
    }
  }

  /** What keeps a child from being made will keep the next start too, and is told there. */
  function refill(): void {
    filling = filling.then(fill).catch(() => {});
  }

  function order(profile: Profile): void {
    wanted = profile;
    timer?.cancel();
    timer = timers.timer(quietMs, refill);
  }

  function discard(profile: Profile): void {
    for (const { profile: own, caged } of waiting) if (!isSame(own, profile)) caged.contained.kill();
    waiting = waiting.filter(({ profile: own }) => isSame(own, profile));
  }

  return {
    /** One that waits, from then on the caller's, with the artifact on its way; null where the plugin needs another or none is there. */
    take(profile: Profile, launch: Launch): CagedChild | null {
      if (size === 0 || closed || !isUsual(launch)) return null;
      discard(profile);
      order(profile);
      const one = waiting.shift();
      if (!one) return null;
      ours.delete(one);
      const { artifact, artifactSha256, plugin } = launch;
      one.caged.child.deliver(encodeArtifact({ artifact, artifactSha256, title: titleOf(plugin.id) }));
      return { ...one.caged, onExit: one.adopt };
    },
    waiting: () => waiting.length,
    /** Ends those that wait, and resolves when all that it made and nobody took are gone. */
    async close(): Promise<void> {
      closed = true;
      timer?.cancel();
      await filling;
      const all = [...ours];
      for (const { caged } of all) caged.contained.kill();
      await Promise.all(all.map(({ ended }) => ended));
    },
  };
}

export const titleOf = (pluginId: string): string => `lattice plugin ${pluginId}`;

const isSame = (one: Profile, other: Profile): boolean =>
  one.level === other.level && one.disableUserns === other.disableUserns && one.tools === other.tools;

/** Whether a child that was made before anybody knew the plugin is the child that it would get. */
const isUsual = ({ engine, hostRisk, resources, artifact }: Launch): boolean =>
  engine === 'node' && !hostRisk && artifact.length <= laterArtifactMost && isDeepStrictEqual(resources, defaultResources);
