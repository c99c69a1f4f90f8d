import { z } from 'zod';
import { HostError } from '../../protocol/errors.ts';
import type { LogLine, Supervisor } from '../plugin-view.ts';
import type { EventStream } from './event-stream.ts';
import { byId, queryNumber } from './fields.ts';
import { declareRoute, noBody, type Route } from './route.ts';

const mostLines = 10_000;
const query = z.strictObject({
  run: queryNumber(0, Number.MAX_SAFE_INTEGER).optional(),
  last: queryNumber(0, mostLines).default(200),
  follow: z.enum(['0', '1']).optional(),
});

export function createLogRoutes({ supervisor: { logs } }: { supervisor: Pick<Supervisor, 'logs'> }): Route[] {
  return [
    declareRoute({
      method: 'GET',
      path: '/api/plugins/:id/logs',
      scope: 'plugin:logs',
      doc: 'Reads the last lines of one run (the newest, unless `run` names one). With `follow=1`, or where server-sent events are accepted, also each new line.',
      params: byId,
      query,
      body: noBody,
      subject: ({ params }) => params.id,
      handle: async (request) => {
        const { run, last, follow } = request.query;
        const wantsEvents = follow === '1' || (follow === undefined && request.accepts.includes('text/event-stream'));
        const read = () => logs.read(request.params.id, { last, ...(run === undefined ? {} : { run }) });
        if (!wantsEvents) return read();
        if (run !== undefined) throw new HostError('invalid-params', 'one run cannot be followed', { hint: 'leave out run, or follow' });
        await read(); // an unknown plugin is refused with a status, before the stream has begun
        return followLog(await request.openEvents(), read, (onLine) => logs.follow(request.params.id, onLine));
      },
    }),
  ];
}

type Read = () => Promise<{ run: number | null; lines: LogLine[] }>;

/** New lines are caught while the old ones are read, so that none is missed or told twice. */
async function followLog(stream: EventStream, read: Read, follow: (onLine: (line: LogLine) => void) => () => void): Promise<void> {
  let waiting: LogLine[] | null = [];
  const send = (line: LogLine) => stream.send('line', line);
  const unsubscribe = follow((line) => {
    if (!waiting) send(line);
    else if (waiting.length < mostLines) waiting.push(line);
  });
  stream.onClose(unsubscribe);
  const { lines } = await read();
  for (const line of lines) send(line);
  const newest = lines.at(-1);
  const isNew = (line: LogLine) => !newest || line.run !== newest.run || line.seq > newest.seq; // only one run was read
  for (const line of waiting) if (isNew(line)) send(line);
  waiting = null;
}
