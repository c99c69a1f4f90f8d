import { eventually } from './eventually.ts';
import { compilePlugin } from './native-plugin.ts';
import { openWorkshop, type RealOptions } from './real-runtime.ts';

type TestLike = Parameters<Awaited<ReturnType<typeof openWorkshop>>['open']>[0];

/** What tests of the stdio-json-v1 runner need once in a file: the C plugin, and the reason to skip where there is none. */
export async function openStdioJson() {
  const workshop = await openWorkshop();
  const artifact = compilePlugin('stdio-json/plugin.c');
  const skip =
    artifact === null
      ? 'there is no C compiler with a static libc'
      : workshop.level === 'isolated'
        ? false
        : 'native plugins need bwrap here';
  const wire = 'stdio-json-v1' as const;
  return {
    skip,
    artifact: artifact ?? Buffer.alloc(0),
    open(t: TestLike, options: Partial<RealOptions> = {}) {
      const real = workshop.open(t, { artifact: artifact ?? Buffer.alloc(0), ...options, launch: { wire, ...options.launch } });
      return {
        ...real,
        /** When no process of an action runs any more. */
        idle: () => eventually(() => real.run().counters().running === 0),
        call: (method: string, text: string | Buffer = '') => real.invoke(method, Buffer.from(text).toString('hex')),
      };
    },
  };
}

export const hostCall = (method: string, params: unknown, id = 'h1'): string => JSON.stringify({ host_call: { id, method, params } });
