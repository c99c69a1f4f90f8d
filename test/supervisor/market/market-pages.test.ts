import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { advertised, makeIndex, makeListing, makeRelease, signIndex } from '../../support/make-index.ts';
import { testFolder } from '../../support/test-folder.ts';
import { startApp } from '../http/start-app.ts';

type Page = { candidates: { id: string; version: string }[]; next: string | null };

/** Five plugins with two releases each, of which the channel offers the first. */
async function start(t: Test) {
  const dataDir = testFolder(t);
  const place = join(dataDir, 'index.json');
  let seconds = -60; // each index is newer than the one before
  const publish = (count: number) => {
    const plugins = Array.from({ length: count }, (_, at) =>
      makeListing({ id: `example.p${at}` }, [makeRelease(), makeRelease({ version: '0.9.0' })]),
    );
    writeFileSync(
      place,
      signIndex(makeIndex({ plugins, generated_at: new Date(Date.now() + seconds++ * 1000).toISOString() }), advertised.privateKey),
    );
  };
  publish(5);
  const app = await startApp(t, { dataDir, market: { place } });
  t.match(await app.ask('POST', '/api/marketplace/refresh', { body: {} }), { status: 200 });
  const page = async (query: string) => (await app.ask('GET', `/api/marketplace?${query}`)).body as Page;
  const readAll = async (query: string, limit: number) => {
    const pages: Page[] = [];
    for (let after = ''; ; ) {
      const read = await page(`${query}&limit=${limit}${after}`);
      pages.push(read);
      if (read.next === null) return pages;
      after = `&after=${encodeURIComponent(read.next)}`;
    }
  };
  return { app, publish, page, readAll };
}

for (const limit of [1, 2, 5, 7, 1000]) {
  t.test(`given an index, when it is read ${limit} candidates at a time, then each comes once and in its order`, async (t) => {
    const { page, readAll } = await start(t);
    const offered = (await page('all=0')).candidates;
    t.equal(offered.length, 5);
    const pages = await readAll('all=0', limit);
    t.same(
      pages.flatMap(({ candidates }) => candidates),
      offered,
    );
    t.equal(pages.length, Math.ceil(5 / limit), 'no empty page at the end');
    const every = await readAll('all=1', limit);
    t.equal(every.flatMap(({ candidates }) => candidates).length, 10);
  });
}

t.test('given an index that was read anew, when the page goes on from what it no longer lists, then it says to begin again', async (t) => {
  const { app, publish } = await start(t);
  publish(1);
  await app.ask('POST', '/api/marketplace/refresh', { body: {} });
  t.match(await app.ask('GET', '/api/marketplace?limit=1&after=example.p3%401.0.0'), {
    status: 409,
    body: { code: 'conflict', rule: 'page-gone', hint: String },
  });
});

for (const query of ['limit=0', 'limit=1001', 'limit=-1', 'limit=a', 'after=', `after=${'a'.repeat(257)}`]) {
  t.test(`when the marketplace is asked with ${query.slice(0, 20)}, then 400`, async (t) => {
    const { app } = await start(t);
    t.match(await app.ask('GET', `/api/marketplace?${query}`), { status: 400, body: { code: 'invalid-params' } });
  });
}
