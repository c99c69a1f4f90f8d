import type { Tx } from './database.ts';

/** Notes in the transaction of a change that it was made; `done`: what became of it, where that is known there. */
export type Settle<Done = void> = (tx: Tx, done: Done) => Promise<void>;

/** What a caller asks of a change beside the change itself. It is done where the change is serialised, so nothing comes between. */
export type Safeguards<Seen = void, Done = void> = {
  /** Throws when what is there is not what the caller saw. */
  guard?: ((seen: Seen) => void) | undefined;
  settle?: Settle<Done> | undefined;
};
