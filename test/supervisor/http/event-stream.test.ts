import { once } from 'node:events';
import { createServer, get, IncomingMessage, ServerResponse } from 'node:http';
import { type AddressInfo, Socket } from 'node:net';
import t, { type Test } from 'tap';
import { createEventStreams, type EventStream } from '../../../supervisor/http/event-stream.ts';
import { createFakeClock } from '../../support/fake-clock.ts';

async function openOne(t: Test) {
  const clock = createFakeClock();
  const streams = createEventStreams(clock);
  const opened = Promise.withResolvers<EventStream>();
  const responses: ServerResponse[] = [];
  const server = createServer((req, res) => {
    responses.push(res);
    streams.open(req, res).then(opened.resolve, opened.reject);
  });
  t.teardown(() => server.closeAllConnections());
  t.teardown(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const [answer] = (await once(get({ host: '127.0.0.1', port: (server.address() as AddressInfo).port }), 'response')) as [IncomingMessage];
  const stream = await opened.promise;
  return { clock, streams, answer, stream, response: responses[0] as ServerResponse };
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

t.test('given what is no JSON, when it is sent, then it is null, and the events before and behind it are whole', async (t) => {
  const { stream, answer } = await openOne(t);
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  for (const data of [1, undefined, () => 2, 3n, cycle, 'a\nb\r\u2028']) stream.send('progress', data);
  stream.end('result', undefined);

  let said = '';
  for await (const chunk of answer) said += chunk;
  t.same(
    [...said.matchAll(/event:(.*)\nid:(\d+)\ndata:([^\n]*)\n\n/g)].map(([, ...fields]) => fields.join(' ')),
    [
      'progress 1 1',
      'progress 2 null',
      'progress 3 null',
      'progress 4 null',
      'progress 5 null',
      'progress 6 "a\\nb\\r\u2028"',
      'result 7 null',
    ],
  );
});

t.test('given thousands of events in one turn, when they are sent, then they leave in one write, in order', async (t) => {
  const { stream, answer, response } = await openOne(t);
  let writes = 0;
  const write = response.write.bind(response);
  response.write = ((chunk: string) => {
    writes++;
    return write(chunk);
  }) as typeof response.write;
  for (let sent = 0; sent < 5000; sent++) stream.send('line', sent);
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(writes, 1);
  stream.end('result', 'all');

  let said = '';
  for await (const chunk of answer) said += chunk;
  t.same(
    [...said.matchAll(/event:line\nid:.*\ndata:(.*)/g)].map(([, data]) => Number(data)),
    [...Array(5000).keys()],
  );
});

t.test(
  'given responses that close before their stream is open, or while it is opened, when more are opened, then none of those keeps a place',
  async (t) => {
    const clock = createFakeClock();
    const streams = createEventStreams(clock);
    let told = 0;
    for (let count = 0; count < 300; count++) {
      const req = new IncomingMessage(new Socket());
      Object.assign(req, { url: '/', method: 'GET' });
      const res = new ServerResponse(req);
      const closed = once(res, 'close');
      if (count % 2) res.destroy();
      if (count % 4 === 1) await closed;
      const opening = streams.open(req, res);
      if (count % 2 === 0) res.destroy();
      const stream = await opening;
      await closed;
      stream.onClose(() => told++);
      stream.send('line', 'to nobody');
      stream.end('line', 'to nobody');
    }
    t.same([told, clock.pending()], [300, 0]);
  },
);
