import t from 'tap';
import plugin from '../../../plugins/example.hello/plugin.ts';
import { HostError } from '../../../protocol/errors.ts';
import { createContext, createMockHost } from '../ssh-login-alert/mock-host.ts';

const { greet } = plugin.services.greeter;

t.test('given a name, when it is greeted twice, then the second answer counts two and each is logged', async (t) => {
  const { host, logged } = createMockHost();
  t.same(await greet({ name: 'Ada' }, createContext(host)), { message: 'Hello, Ada!', count: 1 });
  t.same(await greet({ name: 'Ada' }, createContext(host)), { message: 'Hello, Ada!', count: 2 });
  t.same(await greet({ name: 'Bob' }, createContext(host)), { message: 'Hello, Bob!', count: 1 });
  t.equal(logged.length, 3);
});

t.test('given many calls at once, when they greet one name, then no greeting is lost', async (t) => {
  const { host } = createMockHost();
  const answers = await Promise.all(Array.from({ length: 15 }, () => greet({ name: 'Ada' }, createContext(host))));
  t.same(
    answers.map(({ count }) => count).sort((a, b) => a - b),
    Array.from({ length: 15 }, (_, at) => at + 1),
  );
});

for (const payload of [undefined, null, {}, { name: '' }, { name: 7 }, { name: 'a/b' }, { name: 'x'.repeat(65) }, { name: 'a\nb' }]) {
  t.test(`given the payload ${JSON.stringify(payload)}, when it is greeted, then it is refused`, async (t) => {
    await t.rejects(greet(payload, createContext(createMockHost().host)), { code: 'invalid-params' });
  });
}

t.test('given a store that is full, when a name is greeted, then the caller learns it', async (t) => {
  const { host } = createMockHost({
    fault: (method) => (method === 'kv.put' ? { kind: 'refused', error: new HostError('quota-exceeded', 'full') } : undefined),
  });
  await t.rejects(greet({ name: 'Ada' }, createContext(host)), { code: 'quota-exceeded' });
});
