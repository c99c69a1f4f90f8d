import { drive } from './children/drive.js';
import { type Contender, textOf } from './contenders/contender.ts';
import { findGoPlugin } from './contenders/go-plugin.ts';
import { contenders, measureRounds } from './rounds.ts';
import type { Report } from './suites.ts';

const isThere = (contender: Contender | null): contender is Contender => contender !== null;

/** We give the child a payload of so many bytes, and get it back. */
export const measure = (): Promise<Report> =>
  measureRounds([...contenders, findGoPlugin()].filter(isThere), async (session, bytes, count, inFlight) => {
    const payload = textOf(bytes);
    const before = await session.cpuOfChild();
    const driven = await (session.driveEcho?.(bytes, count, inFlight) ?? drive(() => session.echo(payload), count, inFlight));
    const after = await session.cpuOfChild();
    return { ...driven, parentCpuUs: driven.cpuUs, childCpuUs: after.user + after.system - before.user - before.system };
  });
