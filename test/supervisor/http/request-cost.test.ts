import { createHook } from 'node:async_hooks';
import { once } from 'node:events';
import { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import t from 'tap';
import { startApp } from './start-app.ts';

const called = JSON.stringify({ service: 'greeter', method: 'greet', payload: 'x'.repeat(100) });
type App = Awaited<ReturnType<typeof startApp>>;

const post = ({ url, admin }: App, body = called): string =>
  [
    'POST /api/plugins/example.hello/call HTTP/1.1',
    `host: ${new URL(url).host}`,
    `authorization: Bearer ${admin.token}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    '',
    body,
  ].join('\r\n');

/** Sends the text and waits for the answer, which fits in one piece. */
async function exchange(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  const [chunk] = await once(socket, 'data');
  return String(chunk);
}

// Costs are counted, not timed: what the benches measure must not creep back in one by one.
t.test('given calls one after the other, when they are answered, then each is a few promises and one head', async (t) => {
  const app = await startApp(t);
  const socket = await app.dial();
  for (let warm = 0; warm < 3; warm++) await exchange(socket, post(app));
  const calls = 20;
  const count = { PROMISE: 0, Immediate: 0, headers: 0 };
  const { setHeader } = ServerResponse.prototype;
  ServerResponse.prototype.setHeader = function (...given) {
    count.headers++;
    return setHeader.apply(this, given);
  };
  const hook = createHook({
    init(_id, type) {
      if (type === 'PROMISE' || type === 'Immediate') count[type]++;
    },
  });
  t.teardown(() => {
    ServerResponse.prototype.setHeader = setHeader;
    hook.disable();
  });
  hook.enable();
  for (let call = 0; call < calls; call++) t.match(await exchange(socket, post(app)), /^HTTP\/1\.1 200 .*"echo":"xxx/s);
  hook.disable();

  t.equal(count.headers, 0, 'none is set by itself: the head is written as a whole');
  t.equal(count.Immediate, calls);
  t.ok(count.PROMISE / calls <= 26, `${count.PROMISE / calls} promises a call`); // 21, with those of this test
});

t.test('given many connections that ask in one turn, when their calls are carried out, then they go to the plugin together', async (t) => {
  const app = await startApp(t);
  const sockets = await Promise.all(Array.from({ length: 16 }, () => app.dial()));
  for (const socket of sockets) await exchange(socket, post(app)); // all are accepted, and the tokens are read
  let turns = 0;
  let isCounted = false;
  app.state.answerCall = async () => {
    if (!isCounted) {
      turns++;
      isCounted = true;
      process.nextTick(() => {
        isCounted = false; // here a peer would write what it has
      });
    }
    return null;
  };

  const answers = await Promise.all(sockets.map((socket) => exchange(socket, post(app))));

  for (const answer of answers) t.match(answer, /^HTTP\/1\.1 200 /);
  t.ok(turns <= 4, `${turns} turns for 16 calls`);
});
