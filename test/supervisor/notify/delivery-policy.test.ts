import fc from 'fast-check';
import t from 'tap';
import { deliveryLimits, isExhausted, pauseAfter, pickFair } from '../../../supervisor/notify/delivery-policy.ts';
import type { OutboxRow } from '../../../supervisor/notify/outbox.ts';

const row = (plugin: string, id: string): OutboxRow => ({
  id,
  plugin,
  channel: 'c',
  title: '',
  text: '',
  severity: 'info',
  createdMs: 0,
  attempts: 0,
  nextMs: 0,
});

t.test('given failures in a row, when the pause is asked for, then it doubles from a second to an hour', async (t) => {
  t.same(
    [1, 2, 3, 4, 12, 13, 14, 1000].map((failures) => pauseAfter(failures, 0.5)),
    [1000, 2000, 4000, 8000, 2_048_000, 3_600_000, 3_600_000, 3_600_000],
  );
});

t.test('given any number of failures and any chance, when the pause is asked for, then it is within a fifth of its base', async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 100_000 }), fc.double({ min: 0, max: 1, noNaN: true }), (failures, chance) => {
      const pause = pauseAfter(failures, chance);
      const base = pauseAfter(failures, 0.5);
      return pause >= base * 0.8 - 1 && pause <= base * 1.2 + 1 && pause <= deliveryLimits.mostPauseMs * 1.2;
    }),
  );
  t.pass();
});

t.test('given a day and enough attempts, when a message fails, then it is given up, and not with only one of the two', async (t) => {
  const day = 24 * 3_600_000;

  t.equal(isExhausted(day, 12), true);
  t.equal(isExhausted(day - 1, 1000), false);
  t.equal(isExhausted(30 * day, 11), false);
});

t.test('given plugins with many messages and one with few, when messages are picked, then they take turns', async (t) => {
  const due = [row('a', 'a1'), row('b', 'b1'), row('a', 'a2'), row('b', 'b2'), row('a', 'a3'), row('c', 'c1')];

  t.same(
    pickFair(due, [], null).map((each) => each.id),
    ['a1', 'b1', 'c1', 'a2', 'b2'],
  );
  t.same(
    pickFair(due, [], 'a').map((each) => each.id),
    ['b1', 'c1', 'a1', 'b2', 'a2'],
  );
  t.same(
    pickFair(due, [], 'c').map((each) => each.id),
    ['a1', 'b1', 'c1', 'a2', 'b2'],
  );
  t.same(
    pickFair(due, ['a', 'a', 'b'], null).map((each) => each.id),
    ['b1', 'c1'],
  );
});

t.test('given any load, when messages are picked, then the limits hold and no plugin with a free place is left out', async (t) => {
  const plugin = fc.constantFrom(...'abcdefghijklmnopqrst');
  fc.assert(
    fc.property(fc.array(plugin, { maxLength: 60 }), fc.array(plugin, { maxLength: 16 }), fc.option(plugin), (due, inFlight, last) => {
      const rows = due.map((name, at) => row(name, String(at)));
      const picked = pickFair(rows, inFlight, last);
      const all = [...inFlight, ...picked.map((each) => each.plugin)];
      const count = (name: string) => all.filter((each) => each === name).length;
      const within =
        all.length <= Math.max(deliveryLimits.inFlight, inFlight.length) &&
        picked.every((each) => count(each.plugin) <= deliveryLimits.inFlightPerPlugin);
      const served = all.length >= deliveryLimits.inFlight || due.every((name) => count(name) > 0);
      return within && served && new Set(picked.map((each) => each.id)).size === picked.length;
    }),
  );
  t.pass();
});
