import t from 'tap';
import manifest from '../../plugins/example.hello/plugin.json' with { type: 'json' };
import { type Context, definePlugin } from '../../runner-child/define-plugin.ts';

/** The compiler is the test: an expected error that does not occur is an error. Nothing of it runs. */
export const typed = definePlugin(
  { capabilities: ['kv:read', 'log:write'] },
  {
    background: { refresh: { everyMs: 1000, run: ({ host }) => host.kv.list({}) } },
    onShutdown: async ({ host }) => {
      await host.log.write({ message: 'over' });
      // @ts-expect-error needs kv:write
      await host.kv.put({ key: 'a', value: 'b' });
    },
    health: ({ host }) => host.kv.get({ key: 'a' }),
    services: {
      s: {
        async reads(_payload, { host, signal }) {
          const { value, revision } = await host.kv.get({ key: 'a' }, { signal });
          // @ts-expect-error needs kv:write
          await host.kv.delete({ key: 'a' });
          // @ts-expect-error needs http:egress
          await host.http.fetch({ url: 'https://example.com' });
          // @ts-expect-error needs notify:send
          await host.notify.send({ channel: 'ops', title: 't' });
          // @ts-expect-error a parameter of another type
          await host.kv.get({ key: 1 });
          const text: string | null = value;
          return { text, revision };
        },
      },
    },
  },
);

export const nothing = definePlugin({ capabilities: [] }, { services: { s: { m: (_payload, { host }) => Object.keys(host) } } });
export const narrow = async ({ host }: Context<'kv:read'>) => {
  await host.kv.get({ key: 'a' });
  // @ts-expect-error the context names no kv:write
  await host.kv.put({ key: 'a', value: 'b' });
};
/** Of a JSON import the compiler knows only that they are texts: then all methods are there. */
export const fromJson = definePlugin(manifest, { services: { s: { m: (_payload, { host }) => host.audit.query({}) } } });
export const withoutManifest = definePlugin({
  services: { s: { m: (_payload, { host }) => host.http.fetch({ url: 'https://example.com' }) } },
});

t.test('given a manifest and a plugin, when they are defined, then the plugin carries what the manifest names', async (t) => {
  t.same(typed.manifest, { capabilities: ['kv:read', 'log:write'] });
  t.type(typed.services.s.reads, 'function');
  t.notOk('manifest' in withoutManifest);
});
