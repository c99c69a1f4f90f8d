import { drive } from './children/drive.js';
import { textOf } from './contenders/contender.ts';
import { measureRounds } from './rounds.ts';
import type { Report } from './run.ts';

/** We give the child a payload of so many bytes, and get it back. */
export const measure = (): Promise<Report> =>
  measureRounds(async (session, bytes, count, inFlight) => {
    const payload = textOf(bytes);
    const before = await session.cpuOfChild();
    const driven = await drive(() => session.echo(payload), count, inFlight);
    const after = await session.cpuOfChild();
    return { ...driven, parentCpuUs: driven.cpuUs, childCpuUs: after.user + after.system - before.user - before.system };
  });
