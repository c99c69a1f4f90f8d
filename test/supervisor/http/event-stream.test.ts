import { once } from 'node:events';
import { createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { createEventStreams, type EventStream } from '../../../supervisor/http/event-stream.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

async function openOne(t: Test) {
  const clock = createFakeClock();
  const streams = createEventStreams(clock);
  const opened = Promise.withResolvers<EventStream>();
  const server = createServer((req, res) => void streams.open(req, res).then(opened.resolve, opened.reject));
  t.teardown(() => server.closeAllConnections());
  t.teardown(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const [answer] = (await once(get({ host: '127.0.0.1', port: (server.address() as AddressInfo).port }), 'response')) as [IncomingMessage];
  return { clock, streams, answer, stream: await opened.promise };
}

t.test(
  'given a stream on which nothing happens, when 15 s pass, then a comment keeps it alive; when it is closed, no timer is left',
  async (t) => {
    const { clock, answer, stream } = await openOne(t);
    let said = '';
    answer.on('data', (chunk) => {
      said += chunk;
    });
    while (said.split('still here').length < 2) await once(answer, 'data');
    await clock.advance(15_000);
    while (said.split('still here').length < 3) await once(answer, 'data');
    const closed = new Promise<void>((resolve) => stream.onClose(resolve));
    answer.destroy();
    await closed;
    t.equal(clock.pending(), 0);
  },
);

t.test('given a client that does not read, when more is sent than is held for it, then the rest is dropped, not kept', async (t) => {
  const { stream, answer } = await openOne(t);
  answer.pause();
  const before = process.memoryUsage().arrayBuffers;
  for (let sent = 0; sent < 2000; sent++) stream.send('line', { text: 'x'.repeat(65_536) });
  t.ok(process.memoryUsage().arrayBuffers - before < 64 * 1024 * 1024);
  const told = new Promise<string>((resolve) => {
    answer.on('data', (chunk) => {
      if (String(chunk).includes('event:dropped')) resolve(String(chunk));
      else stream.send('line', { text: 'again' }); // the first that fits again tells how many did not
    });
  });
  answer.resume();
  t.match(await told, /event:dropped\nid:.*\ndata:\{"events":\d+\}/);
  answer.destroy();
});

t.test('given streams that were ended, when one more is opened, then it is refused', async (t) => {
  const { streams, answer } = await openOne(t);
  streams.closeAll();
  answer.resume();
  await once(answer, 'end');
  await t.rejects(streams.open(answer, Object(null)), { code: 'unavailable' });
});
