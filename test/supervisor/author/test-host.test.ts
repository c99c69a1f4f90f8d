import { join } from 'node:path';
import t from 'tap';
import type plugin from '../../../plugins/example.hello/plugin.ts';
import { createTestHost, type TestHost } from '../../../supervisor/author/test-host.ts';
import { projectRoot } from '../../docs/markdown.ts';
import { testFolder } from '../../support/test-folder.ts';

/** The compiler is the test: names and answers come from the plugin's type. */
export async function typed(host: TestHost<typeof plugin>): Promise<number> {
  const { count, message } = await host.call('greeter.greet', { name: 'Ada' });
  // @ts-expect-error no such method
  await host.call('greeter.leave');
  return count + message.length;
}

t.test(
  'given a plugin, when a test host runs it, then calls, store, log and host calls are as in the service; a restart keeps the store',
  async (t) => {
    const host = await createTestHost<typeof plugin>(join(projectRoot, 'plugins', 'example.hello'), { fixture: { kv: { Ada: '6' } } });
    t.teardown(host.close);
    t.same(await host.call('greeter.greet', { name: 'Ada' }), { message: 'Hello, Ada!', count: 7 });
    t.same(await host.kv(), { Ada: '7' });
    t.ok(host.log().some((line) => line.startsWith('greeted Ada')));
    t.match(host.hostCalls(), [
      { method: 'kv.get', params: { key: 'Ada' }, verdict: 'allow', code: null },
      { method: 'kv.put', params: { key: 'Ada', value: '7', if_revision: 1 }, verdict: 'allow' },
      { method: 'log.write', verdict: 'allow' },
    ]);
    await host.restart();
    t.match(await host.call('greeter.greet', { name: 'Ada' }), { count: 8 });
    await t.rejects(host.call('greeter.greet', { name: 7 }), { code: 'invalid-params' });
  },
);

t.test('given a world that fails, when the plugin is called, then the caller gets what the fixture says', async (t) => {
  const fixture = { calls: [{ method: 'kv.put', error: { code: 'quota-exceeded' as const } }] };
  await using host = await createTestHost(join(projectRoot, 'plugins', 'example.hello'), { fixture });
  await t.rejects(host.call('greeter.greet', { name: 'Ada' }), { code: 'quota-exceeded' });
});

t.test('given a plugin that cannot start, when a test host is made, then it rejects with why', async (t) => {
  const folder = testFolder(t, {
    'plugin.json': JSON.stringify({
      schema: 'lattice.plugin.manifest.v3',
      id: 'example.bad',
      name: 'Bad',
      version: '1.0.0',
      publisher: 'dev.local',
      type: 'system',
      engine: 'node',
      capabilities: [],
    }),
    'plugin.js': 'throw new Error("no luck today");',
  });
  await t.rejects(createTestHost(folder), { code: 'plugin-crashed', message: /did not start/, details: { hint: /no luck today/ } });
  await t.rejects(createTestHost(join(folder, 'missing')), { code: 'not-found' });
});
