import t from 'tap';
import { createPingWatch } from '../../../supervisor/dev/inspector/pings.ts';
import { browse, needsBrowser, openPage } from '../../support/inspector-page.ts';

type Message = { id?: number; method?: string; result?: unknown; error?: unknown };
const wire = (direction: 'in' | 'out', message: unknown) => ({ kind: 'message', at: 0, direction, message, bytes: 1 }) as const;
const ping = (id: number) => wire('out', { id, method: 'ping' });
const answer = (id: number, more: Message = { result: {} }) => wire('in', { id, ...more });
const starting = { kind: 'state', at: 0, from: 'backoff', to: 'starting', generation: 2, message: null } as const;

t.test('given messages, when they are looked at, then pings and what answers them are told from the rest', async (t) => {
  const isPing = createPingWatch();
  t.same([ping(1), answer(1), answer(1)].map(isPing), [true, true, false], 'one answer for each');
  t.same([ping(2), answer(3), wire('out', { id: 2, result: {} }), answer(2)].map(isPing), [true, false, false, true]);
  t.same([ping(4), answer(4, { error: {} })].map(isPing), [true, false], 'one that went wrong is shown');
  t.same([ping(5), starting, answer(5)].map(isPing), [true, false, false], 'the next process counts anew');
  t.same([wire('in', { id: 6, method: 'ping' }), wire('in', null), wire('in', 'ping')].map(isPing), [false, false, false]);
});

/** Runs in the page: what reaches over its edge, and which of these parts lie upon one another. */
const lookAtLayout = `(() => {
  const parts = ['#filter', '#timeline', '#call', '#faults', '#kv'].map((each) => [each, document.querySelector(each).getBoundingClientRect()]);
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  return {
    wide: document.documentElement.scrollWidth > innerWidth,
    over: [...document.querySelectorAll('body *')].filter((each) => each.getBoundingClientRect().right > innerWidth + 1).map((each) => each.id || each.tagName),
    upon: parts.flatMap(([a, place], n) => parts.slice(n + 1).filter(([, other]) => meet(place, other)).map(([b]) => a + b)),
    columns: document.querySelector('#call').getBoundingClientRect().left > document.querySelector('#timeline').getBoundingClientRect().right ? 2 : 1,
  };
})()`;
const shownRows = `[...document.querySelectorAll('#timeline li')].filter((row) => !row.hidden && row.textContent.includes('ping')).length`;

t.test(
  'given windows of three widths, when the page is shown, then nothing overlaps, and pings are shown when that is asked for',
  needsBrowser,
  async (t) => {
    const long = {
      type: 'object',
      properties: { at: { type: 'object', properties: { [`a_${'long_'.repeat(8)}name`]: { type: 'string' } } } },
    };
    const services = [{ name: 'tool', methods: [{ name: 'echo', effect: 'read', scopes: [], params: long }] }];
    const { inspector, url } = await openPage(t, { code: '{ services: { tool: { echo: (x) => x } } }', manifest: { services } });
    const { page, shows, problems } = await browse(t, url);
    await page.goto(url.href);
    await shows('#fields', 'long_');
    for (const [width, columns] of [
      [420, 1],
      [800, 2],
      [1280, 2],
    ] as const) {
      await page.setViewport({ width, height: 900 });
      t.same(await page.evaluate(lookAtLayout), { wide: false, over: [], upon: [], columns }, `${width} px`);
    }

    inspector.show(ping(901));
    inspector.show(answer(901, { result: { ping: 'answered' } }));
    inspector.show({ kind: 'note', at: 0, level: 'info', text: 'after the ping' });
    await shows('#timeline', 'after the ping');
    t.equal(await page.evaluate(shownRows), 1, 'the note alone');
    await page.locator('#pings').click();
    t.equal(await page.evaluate(shownRows), 3);
    t.same(problems, []);
  },
);
