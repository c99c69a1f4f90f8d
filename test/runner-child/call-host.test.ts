import t from 'tap';
import { hostMethodNames } from '../../protocol/host-methods.ts';
import { createHost, type Request } from '../../runner-child/call-host.ts';

t.test('given the table of host methods, when each is called through the client, then exactly its name and params are asked', async (t) => {
  const asked: unknown[] = [];
  const request: Request = async (method, params, options) => void asked.push([method, params, options.timeoutMs]);
  const host = createHost(request, 1234) as unknown as Record<string, Record<string, (params: unknown) => Promise<unknown>>>; // by name, as the table has them
  for (const name of hostMethodNames) {
    const [namespace = '', verb = ''] = name.split('.');
    await host[namespace]?.[verb]?.({ a: 1 });
  }
  t.same(
    asked,
    hostMethodNames.map((name) => [name, { a: 1 }, 1234]),
  );
});

t.test('given the client, when it is awaited, spread or printed, then nothing is asked', async (t) => {
  const asked: unknown[] = [];
  const host = createHost(async (method) => void asked.push(method), 1000);
  await host;
  await host.kv;
  t.equal(String(Object.keys(host)), '');
  t.same(asked, []);
});
