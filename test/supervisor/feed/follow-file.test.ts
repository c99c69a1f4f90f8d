import { appendFile, chmod, copyFile, mkdir, readFile, rename, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { HostError } from '../../../protocol/errors.ts';
import { createRealClock } from '../../../supervisor/clock.ts';
import { createFileSource } from '../../../supervisor/feed/follow-file.ts';
import { createQuietLog } from '../../support/quiet-log.ts';
import { testFolder } from '../../support/test-folder.ts';
import { startFollowing } from './collect-lines.ts';

const numbered = (from: number, to: number, what = 'line') => Array.from({ length: to - from }, (_, at) => `${what} ${from + at}`);
const text = (lines: string[]) => lines.map((line) => `${line}\n`).join('');

t.test('given a file with lines, when it is followed without a cursor, then only lines that are added come', async (t) => {
  const path = join(testFolder(t, { log: 'old 1\nold 2\n' }), 'log');
  const follow = await startFollowing(t, path);
  await follow.begun;
  await appendFile(path, 'new 1\nnew 2\n');
  t.same(await follow.lines(2), ['new 1', 'new 2']);
});

t.test('given a line that is being written, when following begins in it, then it comes whole when it is done', async (t) => {
  const path = join(testFolder(t, { log: 'old\nhal' }), 'log');
  const follow = await startFollowing(t, path);
  await follow.begun;
  await appendFile(path, 'f\nne');
  t.same(await follow.lines(1), ['half']);
  await appendFile(path, 'xt\n');
  t.same(await follow.lines(2), ['half', 'next']);
});

t.test('given --from-start, when a file is followed, then its first line comes too', async (t) => {
  const path = join(testFolder(t, { log: 'one\ntwo\n' }), 'log');
  t.same(await (await startFollowing(t, path, { fromStart: true })).lines(2), ['one', 'two']);
});

t.test('given no file at first, when it appears, then its first line comes', async (t) => {
  const path = join(testFolder(t), 'log');
  const follow = await startFollowing(t, path);
  await writeFile(path, 'first\n');
  t.same(await follow.lines(1), ['first']);
});

t.test('given no folder at first, when it appears with the file, then its first line comes', async (t) => {
  const folder = join(testFolder(t), 'later');
  const follow = await startFollowing(t, join(folder, 'log'));
  await mkdir(folder);
  await writeFile(join(folder, 'log'), 'first\n');
  t.same(await follow.lines(1), ['first']);
});

t.test(
  'given a file that is renamed, when its writer still writes to it and then begins the next, then every line comes once, in order',
  async (t) => {
    const path = join(testFolder(t, { log: '' }), 'log');
    const follow = await startFollowing(t, path);
    await follow.begun;
    await appendFile(path, text(numbered(0, 5)));
    await follow.lines(5);
    await rename(path, `${path}.1`);
    await writeFile(path, '');
    await appendFile(`${path}.1`, text(numbered(5, 8)));
    await follow.lines(8);
    await appendFile(`${path}.1`, 'line 8\nline 9 without an end');
    await appendFile(path, text(numbered(10, 12)));
    t.same(await follow.lines(12), [...numbered(0, 9), 'line 9 without an end', ...numbered(10, 12)]);
    t.same(follow.log.events, []);
  },
);

t.test('given a file that is removed and made anew, when it is followed, then the new one is read from its start', async (t) => {
  const path = join(testFolder(t, { log: 'a\n' }), 'log');
  const follow = await startFollowing(t, path, { fromStart: true });
  await follow.lines(1);
  await rm(path);
  await writeFile(path, 'b\n');
  t.same(await follow.lines(2), ['a', 'b']);
});

t.test('given a file that is copied and truncated, when lines were added before that, then they are read from the copy', async (t) => {
  const path = join(testFolder(t, { log: text(numbered(0, 3)) }), 'log');
  // Holds the reader back, so that the file is truncated while lines are unread.
  const gate = Promise.withResolvers<void>();
  let chunks = 0;
  const follow = await startFollowing(t, path, {
    fromStart: true,
    onBatch: async (chunk) => {
      if (chunk.lines.length > 0 && ++chunks === 2) await gate.promise;
    },
  });
  await follow.lines(3);
  await appendFile(path, 'line 3\n');
  await t.resolves(waitFor(() => chunks === 2));
  await appendFile(path, text(numbered(4, 7)));
  await copyFile(path, `${path}.1`);
  await truncate(path, 0);
  gate.resolve();
  await follow.lines(7);
  await appendFile(path, text(numbered(7, 9)));
  t.same(await follow.lines(9), numbered(0, 9));
  t.same(follow.log.events, []);
});

for (const [what, size] of [
  ['the same', 0],
  ['a larger', 3],
] as const) {
  t.test(`given a file that is truncated and written to ${what} size, when it is followed, then its new lines come`, async (t) => {
    const path = join(testFolder(t, { log: text(numbered(0, 5, 'old')) }), 'log');
    const follow = await startFollowing(t, path, { fromStart: true });
    await follow.lines(5);
    await writeFile(path, text(numbered(0, 5 + size, 'new')));
    t.same((await follow.lines(10 + size)).slice(5), numbered(0, 5 + size, 'new'));
  });
}

t.test('given a hole where a writer went on after a truncation, when it is followed, then only the line comes', async (t) => {
  const path = join(testFolder(t, { log: text(numbered(0, 300)) }), 'log');
  const follow = await startFollowing(t, path, { fromStart: true });
  await follow.lines(300);
  const { size } = await stat(path);
  await truncate(path, 0);
  await follow.begun;
  await writeFile(path, Buffer.concat([Buffer.alloc(size), Buffer.from('after\n')]));
  t.equal((await follow.lines(301)).at(-1), 'after');
});

t.test('given a stop at any line, when following begins again from its cursor, then no line is lost and none comes twice', async (t) => {
  const path = join(testFolder(t, { log: text(numbered(0, 10)) }), 'log');
  const cursors: string[] = [];
  const first = await startFollowing(t, path, {
    fromStart: true,
    onBatch: async ({ lines }) => void cursors.push(...lines.map((line) => line.cursor)),
  });
  await first.lines(10);
  await first.end();
  await appendFile(path, text(numbered(10, 12)));
  for (const [at, cursor] of cursors.entries()) {
    const again = await startFollowing(t, path, { cursor });
    t.same(await again.lines(11 - at), numbered(at + 1, 12));
    await again.end();
  }
});

/** Follows a file to its end, stops, lets `meanwhile` happen, and goes on. */
async function resume(test: Test, meanwhile: (path: string) => Promise<void>, count: number) {
  const path = join(testFolder(test, { log: text(numbered(0, 3)) }), 'log');
  const first = await startFollowing(test, path, { fromStart: true });
  await first.lines(3);
  await first.end();
  await meanwhile(path);
  const second = await startFollowing(test, path, { cursor: first.cursor() });
  await second.lines(count);
  await appendFile(path, 'still followed\n');
  await second.lines(count + 1);
  return { texts: second.texts.slice(0, -1), events: second.log.events.map(({ event }) => event), last: second.texts.at(-1) };
}

t.test(
  'given one rotation by renaming while nobody follows, when following begins again, then the rest of the old file comes first',
  async (t) => {
    const { texts, events } = await resume(
      t,
      async (path) => {
        await appendFile(path, text(numbered(3, 5)));
        await rename(path, `${path}.1`);
        await writeFile(path, text(numbered(5, 7)));
      },
      4,
    );
    t.same(texts, numbered(3, 7));
    t.same(events, []);
  },
);

t.test('given three rotations while nobody follows, when following begins again, then every file is read in order', async (t) => {
  const { texts, events } = await resume(
    t,
    async (path) => {
      await appendFile(path, 'line 3\n');
      await rename(path, `${path}.3`);
      await writeFile(`${path}.2`, 'line 4\n');
      await writeFile(`${path}.1`, 'line 5\n');
      await writeFile(path, 'line 6\n');
      const now = Date.now() / 1000;
      for (const [name, age] of [
        ['.3', 300],
        ['.2', 200],
        ['.1', 100],
        ['', 0],
      ] as const)
        await utimes(path + name, now - age, now - age);
    },
    4,
  );
  t.same(texts, numbered(3, 7));
  t.same(events, []);
});

t.test('given rotations at one moment, when following begins again, then the numbers tell the order', async (t) => {
  const { texts } = await resume(
    t,
    async (path) => {
      await rename(path, `${path}.10`);
      await writeFile(`${path}.9`, 'line 3\n');
      await writeFile(`${path}.1`, 'line 4\n');
      await writeFile(path, 'line 5\n');
      const moment = new Date();
      for (const name of ['.10', '.9', '.1']) await utimes(path + name, moment, moment);
    },
    3,
  );
  t.same(texts, numbered(3, 6));
});

t.test(
  'given a copy and a truncation while nobody follows, when following begins again, then the rest of the copy comes first',
  async (t) => {
    const { texts, events } = await resume(
      t,
      async (path) => {
        await appendFile(path, text(numbered(3, 5)));
        await copyFile(path, `${path}.1`);
        await truncate(path, 0);
        await appendFile(path, text(numbered(5, 9)));
      },
      6,
    );
    t.same(texts, numbered(3, 9));
    t.same(events, []);
  },
);

t.test(
  'given an old file that was compressed meanwhile, when following begins again, then the gap is told and the new file is read',
  async (t) => {
    const { texts, events } = await resume(
      t,
      async (path) => {
        await rename(path, `${path}.1.gz`);
        await writeFile(`${path}.backup`, 'no part of it\n');
        await writeFile(path, text(numbered(5, 7)));
      },
      2,
    );
    t.same(texts, numbered(5, 7));
    t.same(events, ['feed.gap']);
  },
);

t.test('given a new file with the same inode, when following begins again, then it is known to be another by its beginning', async (t) => {
  const { texts, events } = await resume(
    t,
    async (path) => {
      const { ino } = await stat(path);
      await writeFile(path, text(numbered(0, 9, 'another'))); // in place: the number stays, as when it is given out again
      t.equal((await stat(path)).ino, ino);
    },
    9,
  );
  t.same(texts, numbered(0, 9, 'another'));
  t.same(events, ['feed.gap']);
});

t.test('given a file whose end was cut off, when following begins again, then what was read does not come again', async (t) => {
  const path = join(testFolder(t, { log: text(numbered(0, 300)) }), 'log');
  const first = await startFollowing(t, path, { fromStart: true });
  await first.lines(300);
  await first.end();
  await truncate(path, (await readFile(path)).indexOf('line 200\n'));
  const second = await startFollowing(t, path, { cursor: first.cursor() });
  await second.begun;
  await appendFile(path, 'next\n');
  t.same(await second.lines(1), ['next']);
});

t.test('given letters of several bytes across the pieces that are read, when they are followed, then they come whole', async (t) => {
  const lines = Array.from({ length: 4000 }, (_, at) => `${'é漢😀'.repeat(at % 13)} ${at}`);
  const path = join(testFolder(t, { log: text(lines) }), 'log');
  t.same(await (await startFollowing(t, path, { fromStart: true })).lines(lines.length), lines);
});

t.test('given bytes that are not UTF-8, when they are followed, then they are replaced', async (t) => {
  const path = join(testFolder(t, { log: '' }), 'log');
  const follow = await startFollowing(t, path);
  await follow.begun;
  await appendFile(path, Buffer.from([0x61, 0xff, 0x62, 0x0a]));
  t.same(await follow.lines(1), ['a\ufffdb']);
});

t.test('given lines over the cap, when they are followed, then they are cut and counted', async (t) => {
  const path = join(testFolder(t, { log: `${'x'.repeat(200_000)}\nshort\n` }), 'log');
  const follow = await startFollowing(t, path, { fromStart: true, maxLineBytes: 100 });
  t.same(await follow.lines(2), ['x'.repeat(100), 'short']);
  t.match(follow.log.events, [{ level: 'warn', event: 'feed.lines-cut', fields: { lines: 1 } }]);
});

t.test('given ten megabytes at once, when they are followed, then every line comes, in order', async (t) => {
  const path = join(testFolder(t, { log: '' }), 'log');
  const follow = await startFollowing(t, path);
  await follow.begun;
  const lines = numbered(0, 100_000, 'Jan  5 10:00:00 web1 sshd[4242]: Failed password for root from 203.0.113.9 port 53122 ssh2, number');
  await appendFile(path, text(lines));
  const texts = await follow.lines(lines.length);
  t.equal(texts.length, lines.length);
  t.ok(texts.every((line, at) => line === lines[at]));
});

t.test('given what is no regular file, when it is followed, then that is told', async (t) => {
  const follow = await startFollowing(t, testFolder(t));
  await follow.done;
  t.match(follow.failed(), { code: 'invalid-params' });
});

t.test(
  'given a file that this user may not read, when it is followed, then that is told with the fix',
  { skip: process.getuid?.() === 0 && 'root may read everything' },
  async (t) => {
    const path = join(testFolder(t, { log: 'a\n' }), 'log');
    await chmod(path, 0);
    const follow = await startFollowing(t, path);
    await follow.done;
    t.match(follow.failed() as HostError, { code: 'forbidden', details: { hint: /group/ } });
  },
);

for (const cursor of ['', '{}', 'null', '{"dev":"1","inode":"2","offset":-1,"head":{"bytes":0,"sha256":""},"mtimeMs":0}']) {
  t.test(`given the cursor ${JSON.stringify(cursor)}, when a file is followed from it, then it is refused`, async (t) => {
    const follow = await startFollowing(t, join(testFolder(t, { log: 'a\n' }), 'log'), { cursor });
    await follow.done;
    t.match(follow.failed(), { code: 'invalid-params' });
  });
}

t.test('given two folders with a log of the same name, when they are sources, then their labels differ and hold no path', async (t) => {
  const options = { clock: createRealClock(), log: createQuietLog() };
  const [one, two] = ['/var/log/auth.log', '/srv/log/auth.log'].map((path) => createFileSource({ path, ...options }).label);
  t.match(one, /^file:auth\.log:[0-9a-f]{8}$/);
  t.not(one, two);
});

async function waitFor(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}
