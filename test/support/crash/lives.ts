import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Failpoint } from '../../../supervisor/failpoints.ts';
import type { Disk } from '../disk.ts';
import { findDescendants, isAlive } from '../process-tree.ts';
import { startService } from '../start-service.ts';
import { judge } from './judge.ts';
import { type Lane, Lost, type Op, openLanes } from './lanes.ts';
import type { Service, World } from './world.ts';

/** How a life ends: at the n-th time that a failpoint is reached, from the start on or from the first ask on; after so many asks; after some time, ready or not. */
export type End =
  | { at: Failpoint; times: number; fromStart: boolean; wanted: readonly Op[]; asksMost: number }
  | { afterAsks: number }
  | { afterMs: number };
/** `keep`: how much of what is not synced survives a power cut; by default that is up to chance. */
export type Life = { end: End; withChildren: boolean; disk?: Disk | undefined; keep?: number };
type Child = {
  pid?: number | undefined;
  signalCode: NodeJS.Signals | null;
  exitCode: number | null;
  kill(signal: NodeJS.Signals): boolean;
};

const goneWithinMs = 15_000;
const lookMs = 50;

/** Starts the service, judges what the life before left, works until it is killed, and sees to it that nothing outlives it. True: it ended as meant. */
export async function live(world: World, { end, withChildren, disk, keep }: Life): Promise<boolean> {
  const armed = join(world.side, 'armed');
  rmSync(armed, { force: true });
  const fromStart = 'at' in end && end.fromStart;
  const env: Record<string, string> = {
    ...world.env,
    ...disk?.env,
    ...(withChildren ? {} : { LATTICE_RUNNER: 'noop' }),
    ...('at' in end ? { KILL_AT: `${end.at}:${end.times}` } : {}),
    ...(fromStart ? {} : { KILL_ARMED: armed }),
    REACHED: reachedFile(world),
    NODE_COMPILE_CACHE: join(world.side, 'compiled'),
  };
  const startedMs = performance.now();
  const starting = startService(world.home, { entry: 'killing', env });
  const child = [...world.home.running][0] as Child; // the one that was just started, since no other life is under way
  const timer = 'afterMs' in end ? setTimeout(() => killFromOutside(world, child), end.afterMs) : undefined;
  const looking = withChildren ? setInterval(() => look(world, child), lookMs) : undefined;
  world.tally.restarts++;
  try {
    const service = await starting.catch((error: unknown) => blame(world, child, error));
    if (service === null) return true;
    try {
      await beReady(world, service, startedMs);
    } catch (error) {
      if (isCutOff(error) && (await service.exited).signal === 'SIGKILL') return true; // while it was judged: the next life is, instead
      throw error;
    }
    writeFileSync(armed, '');
    return await work(world, service, child, { end, withChildren });
  } finally {
    clearTimeout(timer);
    clearInterval(looking);
    if (child.signalCode === null) killFromOutside(world, child);
    world.tally.kills++;
    await outliveNone(world);
    disk?.cutPower(keep ?? (world.random() < 0.3 ? 0 : world.random()), world.random);
  }
}

/** Starts once more and judges, and stops in order: the end of a run. Answers how many rows the audit has. */
export async function conclude(world: World): Promise<number> {
  const service = await startService(world.home, {
    entry: 'killing',
    env: { ...world.env, NODE_COMPILE_CACHE: join(world.side, 'compiled') },
  });
  await beReady(world, service, performance.now());
  const { rows } = (await service.api('GET', '/api/audit/verify')).body;
  service.signal('SIGTERM');
  const { code } = await service.exited;
  if (code !== 0) world.violations.push(`the last one ended with ${code}`);
  return Number(rows);
}

/** Kills a service over and over whose plugins only run, and tells after how long it was ready, and all of them. */
export async function measureRestarts(world: World, rounds: number): Promise<{ ready: number[]; armed: number[] }> {
  const taken = { ready: [] as number[], armed: [] as number[] };
  for (let round = 0; round <= rounds; round++) {
    const startedMs = performance.now();
    const service = await startService(world.home, { env: { ...world.env, NODE_COMPILE_CACHE: '' } });
    const readyMs = performance.now() - startedMs;
    if (round === 0) for (const id of world.idle) for (const status of ['installed', 'active']) await service.setStatus(id, status);
    for (const id of world.idle) await service.entered(id, 'ready');
    if (round > 0) taken.armed.push(performance.now() - startedMs);
    if (round > 0) taken.ready.push(readyMs);
    service.signal('SIGKILL');
    await service.exited;
  }
  return taken;
}

export const reachedFile = (world: World): string => join(world.side, 'reached');
export const readReached = (world: World): Set<string> =>
  new Set(existsSync(reachedFile(world)) ? readFileSync(reachedFile(world), 'utf8').trim().split('\n') : []);

/** What `fetch` throws when the other end has gone. */
const isCutOff = (error: unknown): boolean => error instanceof TypeError;

/** A start that ended by itself is a fault; one that we killed is not. */
function blame(world: World, child: Child, error: unknown): null {
  if (child.signalCode !== 'SIGKILL') world.violations.push(`a start ended with ${child.exitCode ?? child.signalCode}: ${String(error)}`);
  return null;
}

async function beReady(world: World, service: Service, startedMs: number): Promise<void> {
  world.tally.readyMs.push(performance.now() - startedMs);
  if (service.output().includes('"service.safe-mode"')) throw new Error(`safe mode:\n${service.output()}`);
  await judge(world, service);
}

async function work(
  world: World,
  service: Service,
  child: Child,
  { end, withChildren }: Pick<Life, 'end' | 'withChildren'>,
): Promise<boolean> {
  const most = 'at' in end ? end.asksMost : 'afterAsks' in end ? end.afterAsks : Number.POSITIVE_INFINITY;
  let asks = 0;
  let isOver = false;
  async function follow(lane: Lane): Promise<void> {
    while (!isOver) {
      const wanted = 'at' in end && world.random() < 0.7 ? (end.wanted[asks % Math.max(1, end.wanted.length)] ?? null) : null;
      const step = lane.step(wanted);
      if (++asks >= most && !isOver) {
        isOver = true;
        if ('afterAsks' in end) await killSoon(world, child);
      }
      await step;
    }
  }
  const ended = await Promise.allSettled(openLanes(world, service, { withChildren }).map(follow));
  isOver = true;
  for (const lane of ended)
    if (lane.status === 'rejected' && !(lane.reason instanceof Lost))
      world.violations.push(lane.reason instanceof Error ? lane.reason.message : String(lane.reason));
  const isLost = ended.some((lane) => lane.status === 'rejected');
  if (!isLost) return false; // it was never reached: the end comes from outside
  const { code, signal } = await service.exited;
  if (signal !== 'SIGKILL') world.violations.push(`the service ended by itself with ${code ?? signal}: ${service.output().slice(-2000)}`);
  return true;
}

/** Some turns of the event loop later, so that it is in the middle of what was asked. */
async function killSoon(world: World, child: Child): Promise<void> {
  for (let turns = Math.floor(world.random() ** 2 * 300); turns > 0; turns--)
    await new Promise<void>((resolve) => void setImmediate(resolve));
  killFromOutside(world, child);
}

/** It is stopped first, so that what it started can be listed, the last one as well. */
function killFromOutside(world: World, child: Child): void {
  if (child.signalCode !== null || child.exitCode !== null) return;
  child.kill('SIGSTOP');
  look(world, child);
  child.kill('SIGKILL');
}

function look(world: World, child: Child): void {
  for (const id of findDescendants(child.pid ?? 0)) world.children.set(`${id.pid} ${id.startTime}`, id);
}

async function outliveNone(world: World): Promise<void> {
  while (world.home.running.size > 0) await pause(1);
  const endMs = performance.now() + goneWithinMs;
  const left = () => [...world.children.values()].filter(isAlive);
  while (left().length > 0 && performance.now() < endMs) await pause(5);
  for (const { pid } of left()) world.violations.push(`process ${pid} outlives the service`);
  world.children.clear();
}
