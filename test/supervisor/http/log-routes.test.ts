import { once } from 'node:events';
import type { Socket } from 'node:net';
import t from 'tap';
import { startApp } from './start-app.ts';

const path = '/api/plugins/example.hello/logs';

/** Reads a stream of events from a bare connection: `until` resolves with all that was said when it contains the text. */
function listen(socket: Socket) {
  let said = '';
  socket.on('data', (chunk) => {
    said += chunk;
  });
  return async (text: string): Promise<string> => {
    while (!said.includes(text)) await once(socket, 'data');
    return said;
  };
}

async function openStream(app: Awaited<ReturnType<typeof startApp>>, target: string, accept = '*/*') {
  const socket = await app.dial();
  const until = listen(socket);
  socket.write(
    `GET ${target} HTTP/1.1\r\nHost: ${new URL(app.url).host}\r\nAuthorization: Bearer ${app.admin.token}\r\nAccept: ${accept}\r\n\r\n`,
  );
  return { socket, until };
}

t.test('given log lines, when they are read, then the last ones as JSON', async (t) => {
  const app = await startApp(t);
  for (const text of ['one', 'two', 'three']) app.state.log(text);
  t.match(await app.ask('GET', `${path}?last=2`), {
    status: 200,
    body: { run: 1, runs: [1], lines: [{ text: 'two' }, { text: 'three' }], dropped_bytes: 0 },
  });
});

for (const [what, target, accept] of [
  ['follow=1', `${path}?follow=1&last=1`, '*/*'],
  ['an Accept header', `${path}?last=1`, 'text/event-stream'],
] as const) {
  t.test(`given ${what}, when the log is read, then old lines, then each new one, with the headers of a stream`, async (t) => {
    const app = await startApp(t);
    app.state.log('before');
    app.state.log('last before');
    const { until } = await openStream(app, target, accept);
    const begun = await until('last before');
    t.match(begun, /^HTTP\/1\.1 200 .*x-content-type-options: nosniff.*content-type: text\/event-stream/is);
    t.notMatch(begun, '"text":"before"');
    app.state.log('after\nwith a break');
    t.match(await until('with a break'), /event:line\n.*after\\nwith a break/s);
  });
}

t.test('given a stream, when the client goes away, then the log is no longer followed', async (t) => {
  const app = await startApp(t);
  app.state.log('first');
  const { socket, until } = await openStream(app, `${path}?follow=1`);
  await until('first');
  t.equal(app.followers.size, 1);
  const gone = new Promise<void>((resolve) => {
    const { delete: remove } = app.followers;
    app.followers.delete = (follower) => {
      resolve();
      return remove.call(app.followers, follower);
    };
  });
  socket.destroy();
  await gone;
  t.equal(app.followers.size, 0);
});

t.test('given a stream, when the service stops, then the stream is ended with a word', async (t) => {
  const app = await startApp(t);
  app.state.log('first');
  const { socket, until } = await openStream(app, `${path}?follow=1`);
  await until('first');
  const ended = once(socket, 'end');
  await app.server.stop(60_000);
  t.match(await until('event: end'), /event: end/);
  await ended;
  t.equal(app.followers.size, 0);
});

t.test('given an unknown plugin, one run, or HEAD, when it is followed, then no stream is opened', async (t) => {
  const app = await startApp(t);
  t.match(await app.ask('GET', '/api/plugins/example.nobody/logs?follow=1'), { status: 404, body: { code: 'not-found' } });
  t.match(await app.ask('GET', `${path}?follow=1&run=1`), { status: 400, body: { code: 'invalid-params' } });
  t.match(await app.ask('GET', `${path}?last=99999`), { status: 400 });
  t.match(await app.ask('HEAD', `${path}?follow=1`), { status: 200, text: '' });
  t.equal(app.followers.size, 0);
});
