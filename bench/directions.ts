import { drive } from './children/drive.js';
import { type Driven, keyOf, type Session, textOf } from './contenders/contender.ts';

/** One stretch of calls, with what it cost both processes. */
export type Stretch = Driven & { parentCpuUs: number; childCpuUs: number };
export type StretchOrder = { bytes: number; count: number; inFlight: number };

/** Who asks whom. */
export const directions = {
  /** The child asks for an entry of so many bytes, and gets it. */
  async 'host-call'(session: Session, { bytes, count, inFlight }: StretchOrder): Promise<Stretch> {
    const before = process.cpuUsage();
    const driven = await session.run({ key: keyOf(bytes), count, inFlight });
    const { user, system } = process.cpuUsage(before);
    return { ...driven, parentCpuUs: user + system, childCpuUs: driven.cpuUs };
  },
  /** We give the child a payload of so many bytes, and get it back. */
  async invoke(session: Session, { bytes, count, inFlight }: StretchOrder): Promise<Stretch> {
    const payload = textOf(bytes);
    const before = await session.cpuOfChild();
    const driven = await (session.driveEcho?.(bytes, count, inFlight) ?? drive(() => session.echo(payload), count, inFlight));
    const after = await session.cpuOfChild();
    return { ...driven, parentCpuUs: driven.cpuUs, childCpuUs: after.user + after.system - before.user - before.system };
  },
};
export type Direction = keyof typeof directions;
