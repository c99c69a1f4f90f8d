import { randomBytes } from 'node:crypto';

/** Ids that no other run of the service gives: random once, then counted, because each request pays for them. */
export function createRequestIds(): () => string {
  const prefix = `r-${randomBytes(6).toString('hex')}-`;
  let last = 0;
  return () => prefix + (++last).toString(36);
}
