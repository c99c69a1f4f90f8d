import { createManualClock, type ManualClock } from '../../supervisor/dev/manual-clock.ts';

/** The clock that plugin tests are given too. */
export type FakeClock = ManualClock;
export const createFakeClock = createManualClock;
