import { keyOf } from './contenders/contender.ts';
import { contenders, measureRounds } from './rounds.ts';
import type { Report } from './suites.ts';

/** The child asks for an entry of so many bytes, and gets it. */
export const measure = (): Promise<Report> =>
  measureRounds(contenders, async (session, bytes, count, inFlight) => {
    const before = process.cpuUsage();
    const driven = await session.run({ key: keyOf(bytes), count, inFlight });
    const { user, system } = process.cpuUsage(before);
    return { ...driven, parentCpuUs: user + system, childCpuUs: driven.cpuUs };
  });
