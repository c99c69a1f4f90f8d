import { HostError } from '../../protocol/errors.ts';
import { runFeed } from '../feed/feed.ts';
import type { FeedSource } from '../feed/feed-source.ts';
import { createFileSource } from '../feed/follow-file.ts';
import { createJournalSource } from '../feed/read-journal.ts';
import { createLog, type Log } from '../log.ts';
import type { Cli } from './cli.ts';
import { apiPath, type Client } from './client.ts';
import { NotRunning } from './exit-codes.ts';
import type { FeedOptions } from './feed.ts';

const bucket = 'feed';

function openSource(cli: Cli, { file, journal, fromStart = false }: FeedOptions, log: Log): FeedSource {
  const hint = 'give --file <path>, or --journal ssh';
  if ((file === undefined) === (journal === undefined)) throw new HostError('invalid-params', 'one source is needed', { hint });
  if (file !== undefined) return createFileSource({ path: file, fromStart, clock: cli.io.clock, log });
  if (journal !== 'ssh') throw new HostError('invalid-params', 'of the journal only ssh can be fed', { hint });
  return createJournalSource({ clock: cli.io.clock, log, fromStart });
}

/** Runs until interrupted. Its place is kept by the service, in the bucket `feed`, so that the next feed goes on from there. */
export async function feedLog(cli: Cli, id: string, options: FeedOptions): Promise<void> {
  const log = createLog('info');
  const source = openSource(cli, options, log);
  const { service, method } = options;
  const place = apiPath('kv', bucket, `${id} ${service}.${method} ${source.label}`.replace(/[/\\\p{Cc}]/gu, '_'));

  /** A service that was started anew may have another address: it is looked for again. */
  async function ask<Answer>(job: (client: Client) => Promise<Answer>): Promise<Answer> {
    try {
      return await job(await cli.connect());
    } catch (error) {
      if (error instanceof NotRunning) await cli.close();
      throw error;
    }
  }
  await runFeed({
    source,
    send: (payload) => ask((client) => client.request('POST', '/api/plugins/call', { body: { id, service, method, payload } })),
    loadCursor: () =>
      ask((client) => client.request<{ value: string }>('GET', place)).then(
        ({ value }) => value,
        (error: unknown) => {
          if (error instanceof HostError && error.code === 'not-found') return null;
          throw error;
        },
      ),
    saveCursor: (value) => ask((client) => client.request<void>('PUT', place, { body: { value } })),
    clock: cli.io.clock,
    log,
    signal: cli.io.onInterrupt(),
  });
}
