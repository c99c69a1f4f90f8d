import { compileNative, readBomb } from '../test/children/bombs/compile-native.ts';
import type { RealRuntime } from '../test/support/real-runtime.ts';

export type Abuse = {
  name: string;
  artifact: string | Buffer | null;
  rounds: number;
  /** What sets it off. */
  begin(real: RealRuntime): unknown;
  /** For abuse that a plugin may go on with: how long it is looked at, and what shows that it was noticed. */
  goesOn?: { lengthMs: number; noticed(counters: Record<string, number>): boolean };
};

const floodedMs = 1_000;
const floodRounds = 6;

const invoke = (method: string) => (real: RealRuntime) => void real.invoke(method).catch(() => {}); // lost with the process, as it should

const flood = (name: string, method: string, noticed: NonNullable<Abuse['goesOn']>['noticed']): Abuse => ({
  ...{ name, artifact: readBomb('floods.js'), rounds: floodRounds, begin: invoke(method) },
  goesOn: { lengthMs: floodedMs, noticed },
});
const isWithheld = (counters: Record<string, number>) => Number(counters.withheld_ms) > 0;

export function listAbuses(): Abuse[] {
  const native = compileNative();
  const floods = readBomb('floods.js');
  return [
    flood('flood of valid lines', 'messages', isWithheld),
    flood('flood of small objects, 1 MiB lines', 'dense', isWithheld),
    flood('the same as host calls', 'denseRequests', isWithheld),
    flood('stderr flood', 'log', (counters) => Number(counters.stderr_dropped_bytes) > 0),
    { name: 'blank lines', artifact: floods, rounds: 3, begin: invoke('blank') },
    { name: 'garbage on stdout', artifact: floods, rounds: 3, begin: invoke('garbage') },
    { name: 'kill -9', artifact: floods, rounds: 3, begin: (real) => process.kill(real.pid(), 'SIGKILL') },
    { name: 'memory bomb, V8 heap', artifact: readBomb('bombs.js'), rounds: 5, begin: invoke('heap') },
    { name: 'memory bomb, native', artifact: native, rounds: 3, begin: invoke('memory') },
  ];
}

export const listHangs = (): Abuse[] => [
  { name: 'busy loop', artifact: readBomb('floods.js'), rounds: 1, begin: invoke('spin') },
  { name: 'fork bomb', artifact: compileNative(), rounds: 1, begin: invoke('forkBomb') },
];
