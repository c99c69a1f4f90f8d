/** What a caller asks of a change beside the change itself. It is asked where the change is serialised, so nothing comes between. */
export type Safeguards<Seen = void> = {
  /** Throws when what is there is not what the caller saw. */
  guard?: ((seen: Seen) => void) | undefined;
};
