import t from 'tap';
import { readEvents, type ServerEvent } from '../../../supervisor/cli/read-events.ts';

const stream = 'retry:2000\n\n:still here\n\nevent:line\nid:1\ndata:{"a":"ä"}\n\ndata: one\ndata: two\n\nevent: end\ndata: {}\n\n';

async function read(pieces: Uint8Array[]) {
  async function* chunks() {
    yield* pieces;
  }
  const events: ServerEvent[] = [];
  for await (const event of readEvents(chunks())) events.push(event);
  return events;
}

t.test('given a stream cut at any byte, when it is read, then the same events', async (t) => {
  const bytes = Buffer.from(stream);
  const wanted = [
    { event: 'line', data: '{"a":"ä"}' },
    { event: 'message', data: 'one\ntwo' },
    { event: 'end', data: '{}' },
  ];
  for (let at = 0; at <= bytes.length; at++) t.same(await read([bytes.subarray(0, at), bytes.subarray(at)]), wanted);
});

t.test('given a line without end, when it is read, then the reading ends', async (t) => {
  const chunk = Buffer.alloc(1024 * 1024, 0x61);
  await t.rejects(read([chunk, chunk, chunk, chunk, chunk]), { message: /too long/ });
});
