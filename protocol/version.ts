/** The version of the messages between supervisor and child. `initialize` offers it; the child answers the one it speaks. */
export const protocolVersion = 1;
export const acceptedVersions: readonly number[] = [1];

/** Limits that both ends keep to. The supervisor announces those it may change in `initialize`. */
export const wireLimits = {
  lineBytes: 1024 * 1024,
  depth: 64,
  wrapping: 4, // levels that the supervisor's messages put around a caller's payload of full depth
  inFlight: 64,
  queued: 1024, // requests waiting on the sender's side for a place in flight; one more is `rate-limited`
  rateLimitedInARow: 100, // then the child ends with `in-flight-exceeded`
  strayLines: 100,
  unsentBytes: 1024 * 1024, // above this the supervisor stops reading a child that does not read
  // What waits for one child to read it, and the line it is sending us (1 MiB and one chunk), together stay under 4 MiB.
  heldRequestsBytes: 1.5 * 1024 * 1024, // above this a request of ours is `rate-limited`
  heldBytes: 2.5 * 1024 * 1024, // above this an answer of ours is replaced by `rate-limited`
  smallBytes: 1024, // an answer of this size is always sent: at most one for each request in flight
  rememberedIds: 1024, // ids that timed out or were cancelled; a late answer to one of them is dropped
} as const;
