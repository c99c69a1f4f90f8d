/** What one stretch of calls was like, seen from the end that asked. */
export type Driven = { count: number; elapsedMs: number; cpuUs: number; p50Us: number; p99Us: number };
export type RunOrder = { key: string; count: number; inFlight: number };

/** A child process at the other end of some way to call. */
export type Session = {
  /** The child asks us for an entry, so many times. */
  run(order: RunOrder): Promise<Driven>;
  /** We ask the child for the same payload back. */
  echo(payload: unknown): Promise<unknown>;
  /** The same, driven from where no echo of ours reaches: a host in another language. */
  driveEcho?(bytes: number, count: number, inFlight: number): Promise<Driven>;
  /** What the child has used of the processor. */
  cpuOfChild(): Promise<{ user: number; system: number }>;
  close(): Promise<void>;
};
/** `open` gives null where a contender cannot be had on this machine. */
export type Contender = { name: string; open(): Promise<Session | null> };

export const sizes = [100, 4096, 65_536] as const;
export const keyOf = (bytes: number): string => `value-of-${bytes}`;
export const textOf = (bytes: number): string => 'x'.repeat(bytes);

const entries = new Map(sizes.map((bytes) => [keyOf(bytes), { value: textOf(bytes), revision: 1 }]));
/** What the other contenders answer: a look into a map. */
export const answerGet = (params: unknown): { value: string; revision: number } | undefined => entries.get((params as { key: string }).key);
