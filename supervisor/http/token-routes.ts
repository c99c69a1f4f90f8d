import { z } from 'zod';
import { HostError } from '../../protocol/errors.ts';
import { scopes } from '../../protocol/scopes.ts';
import type { TokenRecord } from '../token-rows.ts';
import type { Tokens } from '../tokens.ts';
import { contentTag } from './conditions.ts';
import { actorOf, pluginId } from './fields.ts';
import { declareRoute, noBody, nothing, type Route, type Settled } from './route.ts';

export type TokenDeps = { tokens: Pick<Tokens, 'create' | 'list' | 'revoke'> };

const body = z.strictObject({
  name: z
    .string()
    .trim()
    .min(1)
    .max(64)
    .regex(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+$/u, 'no control or invisible characters'),
  scopes: z
    .array(z.enum(scopes))
    .min(1)
    .refine((all) => new Set(all).size === all.length, 'a scope stands twice'),
  plugin: pluginId.optional(),
  expires_at: z.iso
    .datetime({ offset: true })
    .transform((text) => new Date(text).toISOString())
    .optional(),
});

export const describeToken = (token: TokenRecord) => ({
  id: token.id,
  name: token.name,
  scopes: token.scopes,
  plugin: token.plugin,
  created_by: token.createdBy,
  created_at: token.createdAt,
  expires_at: token.expiresAt,
  revoked_at: token.revokedAt,
});

const toldOnce = 'the text was in the first answer only: revoke this token and make another';
const describeTokens = (tokens: readonly TokenRecord[]) => ({ tokens: tokens.map(describeToken) });
const tagsOf = (tokens: readonly TokenRecord[]): readonly string[] => [contentTag(describeTokens(tokens))];

export function createTokenRoutes({ tokens }: TokenDeps): Route[] {
  return [
    declareRoute({
      method: 'GET',
      path: '/api/tokens',
      scope: 'token:admin',
      doc: 'Lists the tokens, never their text.',
      params: nothing,
      query: nothing,
      body: noBody,
      tagged: true,
      handle: async () => describeTokens(await tokens.list()),
    }),
    declareRoute({
      method: 'POST',
      path: '/api/tokens',
      scope: 'token:admin',
      doc: 'Makes a token, with scopes that the caller has. Its text is in this answer and nowhere else.',
      params: nothing,
      query: nothing,
      body,
      guarded: true,
      handle: async (request) => {
        const actor = actorOf(request);
        const { name, scopes, plugin, expires_at } = request.body;
        const beyond = scopes.find((scope) => !actor.scopes.includes(scope));
        if (beyond) {
          throw new HostError('forbidden', `this token cannot give the scope ${beyond}, which it does not have`, {
            rule: 'scope-beyond-own',
            scope: beyond,
            hint: 'ask for scopes that your token has',
          });
        }
        const wanted = {
          name,
          scopes,
          ...(plugin === undefined ? {} : { plugin }),
          ...(expires_at === undefined ? {} : { expiresAt: expires_at }),
        };
        const shown = { name, scopes, plugin: plugin ?? null, expires_at: expires_at ?? null };
        const onlyOnce = (id: string): Settled => ({ status: 201, body: { id, token: null, hint: toldOnce, ...shown } });
        const made = await tokens.create(wanted, actor.id, request.safeguards(tagsOf, onlyOnce));
        request.status(201);
        return { ...made, ...shown };
      },
    }),
    declareRoute({
      method: 'DELETE',
      path: '/api/tokens/:id',
      scope: 'token:admin',
      doc: 'Revokes a token at once.',
      params: z.strictObject({ id: z.string().max(64) }),
      query: nothing,
      body: noBody,
      guarded: true,
      handle: async (request) => {
        const answer = { id: request.params.id, revoked: true };
        const revoked = () => ({ body: answer });
        await tokens.revoke(request.params.id, actorOf(request).id, request.safeguards(tagsOf, revoked));
        return answer;
      },
    }),
  ];
}
