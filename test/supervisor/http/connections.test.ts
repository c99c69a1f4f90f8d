import { once } from 'node:events';
import type { Socket } from 'node:net';
import t, { type Test } from 'tap';
import { startApp } from './start-app.ts';

const most = 16;

/** A service that holds few connections, and clients that use them in their ways. */
async function open(t: Test) {
  const app = await startApp(t, { limits: { connections: most } });
  const { host } = new URL(app.url);
  const ask = (socket: Socket, path: string, token: string | null = null): boolean =>
    socket.write(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\n${token === null ? '' : `authorization: Bearer ${token}\r\n`}\r\n`);
  async function exchange(socket: Socket, path: string, token?: string): Promise<string> {
    ask(socket, path, token);
    const [chunk] = await Promise.race([once(socket, 'data'), once(socket, 'close')]);
    return String(chunk).split('\r\n')[0] ?? '';
  }
  async function hold(count: number, use: (socket: Socket) => unknown = () => {}): Promise<Socket[]> {
    const all: Socket[] = [];
    for (let index = 0; index < count; index++) {
      const socket = await app.dial();
      socket.on('error', () => {});
      await use(socket);
      all.push(socket);
    }
    return all;
  }
  return {
    ...{ app, exchange, hold },
    silent: (count: number) => hold(count),
    /** Without a token; once the address is over its rate the answer is 429, which is one as well. */
    spoken: (count: number) => hold(count, (socket) => exchange(socket, '/healthz')),
    trusted: (count: number) => hold(count, (socket) => exchange(socket, '/api/plugins', app.admin.token)),
  };
}

const ok = 'HTTP/1.1 200 OK';
const crowds = ['silent', 'spoken'] as const;
for (const crowd of crowds) {
  t.test(`given ${crowd} connections of strangers, more than there may be, when others ask, then each is answered`, async (t) => {
    const service = await open(t);
    const [known] = await service.trusted(1);
    for (let round = 0; round < 3; round++) {
      await service[crowd](most);
      const [fresh] = await service.hold(1);
      t.equal(fresh && (await service.exchange(fresh, '/api/plugins', service.app.admin.token)), ok, 'who comes now');
      t.equal(known && (await service.exchange(known, '/api/plugins', service.app.admin.token)), ok, 'who was there');
    }
  });
}

t.test('given as many connections as there may be, when one more comes, then the log says that one had to go', async (t) => {
  const service = await open(t);
  const told = () => service.app.log.events.filter(({ event }) => event === 'http.crowded');
  await service.silent(most);
  t.same(told(), []);
  await service.spoken(1);
  t.match(told(), [{ level: 'error', fields: { address: '127.0.0.1' } }]);
  t.equal(told().length, 1);
});

t.test('given connections that were answered without a token, when silent ones push, then those stay longer', async (t) => {
  const service = await open(t);
  const [probe] = await service.spoken(1);
  await service.silent(3 * most);
  t.equal(probe && (await service.exchange(probe, '/healthz')), ok);
});

t.test('given strangers who have all been answered once, when new ones come, then a new one has time to ask', async (t) => {
  const service = await open(t);
  await service.spoken(most);
  const [first] = await service.silent(2); // the second does not push out the first
  t.equal(first && (await service.exchange(first, '/api/plugins', service.app.admin.token)), ok);
});

t.test('given a call under way and an open event stream, when strangers fill all places, then both go on', async (t) => {
  const service = await open(t);
  const { app } = service;
  const answered = Promise.withResolvers<unknown>();
  const asked = Promise.withResolvers<void>();
  app.state.answerCall = () => {
    asked.resolve();
    return answered.promise;
  };
  const call = app.ask('POST', '/api/plugins/example.hello/call', { body: { service: 'greeter', method: 'greet', payload: 1 } });
  await asked.promise;
  const [stream] = await service.hold(1);
  t.equal(stream && (await service.exchange(stream, '/api/plugins/example.hello/logs?follow=1', app.admin.token)), ok);

  for (const crowd of crowds) await service[crowd](2 * most);

  answered.resolve('done');
  t.match(await call, { status: 200 });
  t.notOk(stream?.closed);
});

t.test('given as many authenticated connections as there may be, when another comes, then it is the one that is refused', async (t) => {
  const service = await open(t);
  const all = await service.trusted(most);
  const [another] = await service.silent(1);
  if (!another?.closed) await once(another ?? t, 'close');
  for (const socket of all) t.equal(await service.exchange(socket, '/api/plugins', service.app.admin.token), ok);
});
