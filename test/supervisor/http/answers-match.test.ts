import { dirname } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { id, openSupervisor } from '../../support/open-supervisor.ts';
import { startApp } from './start-app.ts';

type Shown = Record<string, unknown>;
type Step = readonly [name: string, value: number];
const names = [
  'installed',
  'active',
  'disabled',
  'upgrade',
  'rollback',
  'reset',
  'transfer',
  'config',
  'put',
  'delete',
  'token',
  'revoke',
] as const;
const steps: fc.Arbitrary<Step> = fc.tuple(fc.constantFrom(...names), fc.nat(3));

t.test('given any changes one after the other, when each is answered, then what is read next says the same', async (t) => {
  const home = await openSupervisor(t);
  home.put();
  await home.supervisor.start();
  const app = await startApp(t, { dataDir: dirname(home.pluginDir), real: home });
  const read = async (path: string) => (await app.ask('GET', path)).body as Shown;
  const plugin = () => read(`/api/plugins/${id}`);
  const made: string[] = [];
  let changes = 0;
  await app.ask('POST', '/api/plugins/lifecycle', { body: { id, status: 'installed' } });
  await home.offer({ version: '2.0.0' });

  const ask: Record<string, (value: number) => Promise<void>> = {
    ...Object.fromEntries(
      ['installed', 'active', 'disabled'].map((status) => [
        status,
        async () => {
          const listed = async () => ((await app.ask('GET', '/api/plugins/lifecycle')).body as Shown[]).find((each) => each.id === id);
          await same('POST', '/api/plugins/lifecycle', { id, status }, listed);
        },
      ]),
    ),
    upgrade: () => same('POST', `/api/plugins/${id}/upgrade`, {}, plugin),
    rollback: () => same('POST', `/api/plugins/${id}/rollback`, {}, plugin),
    reset: () => same('POST', `/api/plugins/${id}/reset`, {}, plugin),
    transfer: () => same('POST', `/api/plugins/${id}/transfer`, { publisher: 'test.publisher' }, plugin),
    config: (value) => same('PUT', `/api/plugins/${id}/config`, { value, text: '"\u2028é' }, () => read(`/api/plugins/${id}/config`)),
    put: (value) => same('PUT', `/api/kv/default/k${value}`, { value: `${value}` }, () => read(`/api/kv/default/k${value}`)),
    async delete(value) {
      await app.ask('DELETE', `/api/kv/default/k${value}`);
      t.equal((await app.ask('GET', `/api/kv/default/k${value}`)).status, 404);
    },
    async token(value) {
      const { body } = await app.ask('POST', '/api/tokens', { body: { name: `n${value}`, scopes: ['plugin:call'] } });
      const { token: _text, ...shown } = body as Shown;
      made.push(String(shown.id));
      t.match(
        ((await read('/api/tokens')).tokens as Shown[]).find((each) => each.id === shown.id),
        shown,
      );
    },
    async revoke() {
      const token = made.pop();
      if (token === undefined) return;
      t.match(await app.ask('DELETE', `/api/tokens/${token}`), { body: { id: token, revoked: true } });
      t.match(
        ((await read('/api/tokens')).tokens as Shown[]).find((each) => each.id === token),
        { revoked_at: String },
      );
    },
  };

  /** Every field of the answer is in what is read next, unless it is refused: then nothing is another than before. */
  async function same(method: string, path: string, body: Shown, after: () => Promise<Shown | undefined>): Promise<void> {
    const before = await after();
    const answer = await app.ask(method, path, { body });
    const now = pick(await after(), Object.keys(answer.body as Shown));
    if (answer.status === 200) {
      changes++;
      if (JSON.stringify(settled(now)) !== JSON.stringify(settled(answer.body as Shown)))
        t.same(settled(now), settled(answer.body as Shown), path);
    } else if (JSON.stringify(settled(before)) !== JSON.stringify(settled(await after())))
      t.fail(`${path} was refused and changed something`);
  }

  await fc.assert(
    fc.asyncProperty(fc.array(steps, { minLength: 5, maxLength: 15 }), async (sequence) => {
      for (const [name, value] of sequence) await ask[name]?.(value);
    }),
    { numRuns: 12, seed: 20261123 },
  );
  t.ok(changes > 30, `${changes} changes were compared`);
});

const pick = (shown: Shown | undefined, names: readonly string[]): Shown => Object.fromEntries(names.map((name) => [name, shown?.[name]]));

/** Without what goes on by itself after the answer: a former version that ends, a runtime that a reset starts. */
function settled(shown: Shown | undefined): Shown {
  const { other_runtimes: _others, runtime, ...rest } = shown ?? {};
  const state = typeof runtime === 'object' && runtime !== null && 'generation' in runtime ? runtime.generation : null;
  return { ...rest, generation: state };
}
