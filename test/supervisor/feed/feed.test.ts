import { appendFile, copyFile, rename, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { HostError } from '../../../protocol/errors.ts';
import { createRealClock } from '../../../supervisor/clock.ts';
import { type FeedBatch, type FeedDeps, runFeed } from '../../../supervisor/feed/feed.ts';
import type { FeedSource, ReadOptions } from '../../../supervisor/feed/feed-source.ts';
import { createFileSource } from '../../../supervisor/feed/follow-file.ts';
import { createFakeClock } from '../../support/fake-clock.ts';
import { createQuietLog } from '../../support/quiet-log.ts';
import { testFolder } from '../../support/test-folder.ts';

/** A source that a test drives; it remembers where it was told to begin. */
function createTestSource() {
  const started = Promise.withResolvers<ReadOptions>();
  const ended = Promise.withResolvers<void>();
  const source: FeedSource = {
    label: 'test',
    async read(options) {
      options.signal.addEventListener('abort', () => ended.resolve());
      started.resolve(options);
      await ended.promise;
    },
  };
  const toLines = (texts: string[]) => texts.map((text) => ({ text, id: `id-${text}`, cursor: `c-${text}` }));
  return {
    source,
    started: started.promise,
    end: () => ended.resolve(),
    fail: (error: Error) => ended.reject(error),
    async push(...texts: string[]): Promise<void> {
      const { onChunk } = await started.promise;
      await onChunk({ lines: toLines(texts), cursor: `c-${texts.at(-1)}` });
    },
    moveTo: async (cursor: string) => (await started.promise).onChunk({ lines: [], cursor }),
  };
}

function start(t: Test, over: Partial<FeedDeps> = {}, saved: string | null = null) {
  const clock = createFakeClock();
  const log = createQuietLog();
  const driven = createTestSource();
  const stop = new AbortController();
  const sent: FeedBatch[] = [];
  const saves: unknown[] = [];
  const deps: FeedDeps = {
    source: driven.source,
    send: async (batch) => void sent.push(batch),
    loadCursor: async () => saved,
    saveCursor: async (text) => void saves.push(JSON.parse(text)),
    clock,
    log,
    signal: stop.signal,
    ...over,
  };
  const done = runFeed(deps);
  done.catch(() => {});
  t.teardown(async () => {
    stop.abort();
    await clock.advance(0);
    await done.catch(() => {});
  });
  return { ...driven, clock, log, sent, saves, done, stop };
}
const names = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => `l${from + at}`);

t.test('given a few lines, when half a second has passed, then they are one batch, and the place is kept before and after', async (t) => {
  const feed = start(t);
  await feed.push('a');
  await feed.clock.advance(300);
  await feed.push('b');
  await feed.clock.advance(199);
  t.same(feed.sent, []);
  await feed.clock.advance(1);
  t.match(feed.sent, [{ source: 'test', lines: ['a', 'b'], cursor: /^[0-9a-f]{32}$/ }]);
  t.same(feed.saves, [
    { position: null, sending: 'id-b' },
    { position: 'c-b', sending: null },
  ]);
});

t.test('given many lines, when they come, then full batches go at once and the rest waits', async (t) => {
  const feed = start(t);
  await feed.push(...names(0, 450));
  await feed.clock.advance(0);
  t.same(
    feed.sent.map(({ lines }) => lines.length),
    [200, 200],
  );
  await feed.clock.advance(500);
  t.same(
    feed.sent.flatMap(({ lines }) => lines),
    names(0, 450),
  );
  t.same(feed.saves, [
    { position: null, sending: 'id-l199' },
    { position: 'c-l199', sending: 'id-l399' },
    { position: 'c-l399', sending: null },
    { position: 'c-l399', sending: 'id-l449' },
    { position: 'c-l449', sending: null },
  ]);
});

t.test('given lines that are costly in JSON, when they come, then no batch is over its bytes, but one line always goes', async (t) => {
  const feed = start(t, { limits: { bytes: 1000 } });
  const lines = ['\u0001'.repeat(100), '\u0002'.repeat(100), 'x'.repeat(5000), 'y', 'z'];
  await feed.push(...lines);
  await feed.clock.advance(500);
  t.same(
    feed.sent.map((batch) => batch.lines),
    [[lines[0]], [lines[1]], [lines[2]], ['y', 'z']],
  );
});

t.test('given a plugin that is slow, when lines keep coming, then the reader is held back', async (t) => {
  const gate = Promise.withResolvers<void>();
  const feed = start(t, { send: () => gate.promise });
  await feed.push(...names(0, 200));
  await feed.clock.advance(0);
  let pushed = false;
  const push = feed.push(...names(200, 700)).then(() => {
    pushed = true;
  });
  await feed.clock.advance(10_000);
  t.notOk(pushed);
  gate.resolve();
  await push;
});

for (const code of ['rate-limited', 'unavailable', 'plugin-crashed', 'storage-unavailable', 'deadline-exceeded', 'conflict'] as const) {
  t.test(
    `given a plugin that answers ${code} for a while, when a batch is sent, then it is sent again, ever more slowly, and nothing is dropped`,
    async (t) => {
      const attempts: number[] = [];
      const accepted: FeedBatch[] = [];
      const feed = start(t, {
        async send(batch) {
          attempts.push(feed.clock.monotonicMs());
          if (attempts.length < 9) throw new HostError(code, 'not now');
          accepted.push(batch);
        },
      });
      await feed.push('a', 'b');
      await feed.clock.advance(500);
      t.equal(feed.saves.length, 1, 'the place is not moved');
      await feed.clock.advance(200_000);
      t.same(
        attempts.map((at, index) => at - (attempts[index - 1] ?? 0)),
        [500, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000],
      );
      t.match(accepted, [{ lines: ['a', 'b'] }]);
      t.same(feed.saves.at(-1), { position: 'c-b', sending: null });
    },
  );
}

t.test('given a refused connection, when a batch is sent, then it is sent again', async (t) => {
  let refused = true;
  const sent: FeedBatch[] = [];
  const feed = start(t, {
    async send(batch) {
      if (refused) throw new TypeError('fetch failed', { cause: { code: 'ECONNREFUSED' } });
      sent.push(batch);
    },
  });
  await feed.push('a');
  await feed.clock.advance(500);
  refused = false;
  await feed.clock.advance(500);
  t.equal(sent.length, 1);
});

for (const code of ['not-found', 'unauthenticated', 'forbidden', 'invalid-params', 'internal'] as const) {
  t.test(
    `given a plugin that answers ${code}, when a batch is sent, then the feed ends with that, and the place is not moved`,
    async (t) => {
      const feed = start(t, { send: () => Promise.reject(new HostError(code, 'no')) });
      await feed.push('a');
      await feed.clock.advance(500);
      await t.rejects(feed.done, { code });
      t.same(feed.saves, [{ position: null, sending: 'id-a' }]);
    },
  );
}

t.test('given a source that fails, when lines wait, then the feed ends with its error', async (t) => {
  const feed = start(t);
  await feed.push('a');
  feed.fail(new HostError('unavailable', 'no journal'));
  await t.rejects(feed.done, { code: 'unavailable' });
});

t.test('given a source that ends, when lines wait, then they are sent before the feed ends', async (t) => {
  const feed = start(t);
  await feed.push('a', 'b');
  feed.end();
  await feed.done;
  t.match(feed.sent, [{ lines: ['a', 'b'] }]);
});

t.test('given a stop, when a batch is under way, then the feed ends after its answer, with the place kept', async (t) => {
  const gate = Promise.withResolvers<void>();
  const feed = start(t, { send: () => gate.promise });
  await feed.push('a');
  await feed.clock.advance(500);
  feed.stop.abort();
  gate.resolve();
  await feed.done;
  t.same(feed.saves.at(-1), { position: 'c-a', sending: null });
});

t.test('given a stop, when a batch waits to be sent again, then the feed ends at once', async (t) => {
  const feed = start(t, { send: () => Promise.reject(new HostError('unavailable', 'no')) });
  await feed.push('a');
  await feed.clock.advance(700);
  feed.stop.abort();
  await t.resolves(feed.done);
});

t.test('given a reader that tells its first place, when nothing is under way, then it is kept', async (t) => {
  const feed = start(t);
  await feed.moveTo('c-start');
  t.same(feed.saves, [{ position: 'c-start', sending: null }]);
});

t.test(
  'given a reader that jumps while a batch is under way, when the batch is accepted, then the place is that of the batch',
  async (t) => {
    const gate = Promise.withResolvers<void>();
    const feed = start(t, { send: () => gate.promise });
    await feed.push('a');
    await feed.clock.advance(500);
    await feed.moveTo('c-elsewhere');
    gate.resolve();
    await feed.clock.advance(0);
    t.same(feed.saves, [
      { position: null, sending: 'id-a' },
      { position: 'c-a', sending: null },
    ]);
  },
);

t.test('given a batch that was under way at a crash, when its lines come again with more, then the same batch is sent first', async (t) => {
  const first = start(t);
  await first.push('a', 'b');
  await first.clock.advance(500);
  const feed = start(t, {}, JSON.stringify({ position: 'c-before', sending: 'id-b' }));
  t.equal((await feed.started).cursor, 'c-before');
  await feed.push('a');
  await feed.clock.advance(5000);
  t.same(feed.sent, [], 'it waits for the rest');
  await feed.push('b', 'c');
  await feed.clock.advance(0);
  t.same(feed.sent, first.sent);
  await feed.clock.advance(500);
  t.match(feed.sent[1], { lines: ['c'] });
});

t.test('given a batch that was under way at a crash, when its lines are gone, then what is there is sent after a while', async (t) => {
  const feed = start(t, {}, JSON.stringify({ position: 'c-before', sending: 'id-gone' }));
  await feed.push('x');
  await feed.clock.advance(10_000);
  t.match(feed.sent, [{ lines: ['x'] }]);
});

t.test(
  'given a plugin that holds something back, when no lines come, then it is called with an empty batch, ever more rarely',
  async (t) => {
    let pending = 1;
    const calls: [number, number][] = [];
    const feed = start(t, {
      async send({ lines }) {
        calls.push([feed.clock.monotonicMs(), lines.length]);
        return { pending };
      },
    });
    await feed.push('a');
    await feed.clock.advance(100_000);
    t.same(calls, [
      [500, 1],
      [30_500, 0],
      [90_500, 0],
    ]);
    pending = 0;
    await feed.clock.advance(10_000_000);
    t.equal(calls.length, 4);
  },
);

for (const saved of ['', '[]', '{"position":7,"sending":null}', 'x']) {
  t.test(`given the stored place ${JSON.stringify(saved)}, when a feed is started, then it is refused`, async (t) => {
    await t.rejects(start(t, {}, saved).done, { code: 'invalid-params' });
  });
}

/** What a plugin does with batches: keeps the lines of each once. */
function createPlugin() {
  const seen = new Set<string>();
  const lines: string[] = [];
  let saved: string | null = null;
  return {
    lines,
    take(batch: FeedBatch): void {
      if (seen.has(batch.cursor)) return;
      seen.add(batch.cursor);
      lines.push(...batch.lines);
    },
    load: async () => saved,
    save: async (text: string) => {
      saved = text;
    },
  };
}

/** Runs a feed of a real file until a step of it dies: before or after the plugin took a batch, or when a place is saved. */
async function runUntilDeath(
  path: string,
  plugin: ReturnType<typeof createPlugin>,
  dieAt: number,
  enough: () => boolean,
): Promise<boolean> {
  let step = 0;
  const stop = new AbortController();
  const die = () => {
    if (++step !== dieAt) return;
    throw new Error('killed');
  };
  const source = createFileSource({ path, fromStart: true, clock: createRealClock(), log: createQuietLog(), pollMs: 10 });
  try {
    await runFeed({
      source,
      async send(batch) {
        die();
        plugin.take(batch);
        die();
        if (enough()) stop.abort();
      },
      loadCursor: plugin.load,
      async saveCursor(text) {
        die();
        await plugin.save(text);
        die();
      },
      clock: createRealClock(),
      log: createQuietLog(),
      signal: stop.signal,
      limits: { lines: 7, waitMs: 5 },
    });
    return false;
  } catch (error) {
    if ((error as Error).message !== 'killed') throw error;
    return true;
  }
}

const write = (path: string, from: number, to: number) =>
  appendFile(
    path,
    names(from, to)
      .map((name) => `${name}\n`)
      .join(''),
  );
const stories: [string, (path: string) => Promise<void>][] = [
  ['nothing happens', (path) => write(path, 20, 30)],
  [
    'the file is renamed',
    async (path) => {
      await write(path, 20, 25);
      await rename(path, `${path}.1`);
      await write(path, 25, 30);
    },
  ],
  [
    'the file is copied and truncated',
    async (path) => {
      await write(path, 20, 25);
      await copyFile(path, `${path}.1`);
      await truncate(path, 0);
      await write(path, 25, 30);
    },
  ],
];
for (const [what, happen] of stories) {
  t.test(
    `given a process that is killed at each step while ${what}, when the feed goes on, then every line has come once, in order`,
    async (t) => {
      // Step 1 is the saving of the first place: before it, no feed has begun.
      for (let dieAt = 2; dieAt <= 26; dieAt++) {
        const path = join(testFolder(t), 'log');
        await writeFile(path, '');
        await write(path, 0, 20);
        const plugin = createPlugin();
        const died = await runUntilDeath(path, plugin, dieAt, () => plugin.lines.length >= 20);
        await happen(path);
        await runUntilDeath(path, plugin, 0, () => plugin.lines.length >= 30);
        t.same(plugin.lines, names(0, 30), `step ${dieAt}${died ? '' : ' (not reached)'}`);
      }
    },
  );
}
