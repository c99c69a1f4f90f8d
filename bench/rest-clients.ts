import { Client } from 'undici';
import type { TestService } from '../test/support/start-service.ts';

export const clients = 32;
export type Side = { ask(): Promise<unknown>; close(): Promise<void> };
export type Target = { url: string; nextPath(): string; body: string; tokens: readonly string[] };

/** So many connections that stay open, each used by one call at a time. */
export function openClients({ url, nextPath, body, tokens }: Target): Side {
  const pool = Array.from({ length: clients }, (_, n) => ({
    client: new Client(url),
    headers: { 'content-type': 'application/json', authorization: `Bearer ${tokens[n % tokens.length]}` },
  }));
  const idle = [...pool];
  return {
    async ask() {
      const mine = idle.pop();
      if (!mine) throw new Error('more calls than clients');
      const { statusCode, body: answer } = await mine.client.request({ path: nextPath(), method: 'POST', body, headers: mine.headers });
      const text = await answer.text();
      if (statusCode !== 200) throw new Error(`${statusCode}: ${text}`);
      idle.push(mine);
      return text;
    },
    close: async () => void (await Promise.all(pool.map(({ client }) => client.close()))),
  };
}

/** One for each client, because a token has a rate. */
export async function createTokens(api: TestService['api']): Promise<string[]> {
  const tokens: string[] = [];
  for (let n = 0; n < clients; n++) {
    const { body } = await api('POST', '/api/tokens', { name: `client-${n}`, scopes: ['plugin:call', 'plugin:admin'] });
    tokens.push(String(body.token));
  }
  return tokens;
}
