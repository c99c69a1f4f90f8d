import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { HostError } from '../../../protocol/errors.ts';

const isSame = (a: string, b: string): boolean => {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
};
const createSecret = (): string => randomBytes(32).toString('base64url');
const refuse = (message: string, hint: string): HostError => new HostError('forbidden', message, { rule: 'inspector', hint });
const openAgain = 'open the address that lattice dev printed; it counts once';

/**
 * Who may use the page: whoever brings the token first, and from then on the cookie it was exchanged for. The token stands in the fragment of the
 * address, which no browser sends. Host and Origin are checked, so that no page of another site reaches it, by whatever name.
 */
export function createAccess(authority: () => string) {
  const cookieName = () => `lattice_inspector_${authority().split(':')[1]}`; // cookies do not know ports
  const cookie = createSecret();
  let token: string | null = createSecret();

  return {
    token: (): string => token ?? '',
    checkSource({ headers, method }: IncomingMessage): void {
      if (headers.host !== authority()) throw refuse('this name is not the inspector’s', openAgain);
      const { origin } = headers;
      const isOwn = origin === `http://${authority()}`;
      if (method === 'POST' ? !isOwn : origin !== undefined && !isOwn) throw refuse('another site may not use the inspector', openAgain);
    },
    /** The header that gives the cookie, once. */
    exchange(given: unknown): string {
      const expected = token;
      if (expected === null || typeof given !== 'string' || !isSame(given, expected))
        throw refuse('the token is spent or wrong', openAgain);
      token = null;
      return `${cookieName()}=${cookie}; HttpOnly; SameSite=Strict; Path=/`;
    },
    checkCookie({ headers }: IncomingMessage): void {
      const pairs = (headers.cookie ?? '').split(';').map((pair) => pair.trim().split('='));
      if (!pairs.some(([name, value = '']) => name === cookieName() && isSame(value, cookie))) throw refuse('not signed in', openAgain);
    },
  };
}
