import { ConflictError, type Context, definePlugin, PluginError } from '../../runner-child/define-plugin.ts';

export default definePlugin({
  services: {
    greeter: {
      async greet(payload: unknown, { host }: Context) {
        const name = readName(payload);
        const count = await countGreeting(host, name);
        await host.log.write({ level: 'info', message: `greeted ${name}`, fields: { count } });
        return { message: `Hello, ${name}!`, count };
      },
    },
  },
});

/** The caller wrote the payload: nothing is known about it until it has been looked at. */
function readName(payload: unknown): string {
  const name = typeof payload === 'object' && payload !== null ? (payload as { name?: unknown }).name : undefined;
  if (typeof name === 'string' && /^[\p{L}\p{N} ._-]{1,64}$/u.test(name)) return name;
  throw new PluginError('invalid-params', '"name" must be 1 to 64 letters, digits, spaces or . _ -');
}

/** Two calls at once may read the same count; only one of them may store the next, and the other reads again. */
async function countGreeting({ kv }: Context['host'], name: string): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const { value, revision } = await kv.get({ key: name });
    const count = Number(value ?? 0) + 1;
    try {
      await kv.put({ key: name, value: String(count), if_revision: revision });
      return count;
    } catch (error) {
      if (!(error instanceof ConflictError) || attempt === 20) throw error;
    }
  }
}
