import Table from 'cli-table3';
import { drive } from './children/drive.js';
import { type Fleet, idOf, openFleet } from './many-plugins.ts';
import { createOwner } from './owner.ts';
import { tell } from './progress.ts';
import { type Spread, showSpread, spread } from './spread.ts';
import type { Report } from './suites.ts';

const plugins = 20;
const callsEach = 30;
const listLength = 20_000; // objects that a call makes and forgets: some 3 MiB
const atOnce = 4;

type Moment = { when: string; pss: Spread; private: Spread; rss: Spread; around_each: number; service_rss: number; service_pss: number };

/** MiB of each plugin process, of the two processes around it, and of the service. */
function look(fleet: Fleet, when: string): Moment {
  const { service, children, pssMibBelow } = fleet.memory();
  if (children.length !== plugins) throw new Error(`${children.length} of ${plugins} plugins run`);
  const own = children.reduce((sum, { pssMib }) => sum + pssMib, 0);
  return {
    when,
    pss: spread(children.map(({ pssMib }) => pssMib)),
    private: spread(children.map(({ privateMib }) => privateMib)),
    rss: spread(children.map(({ rssMib }) => rssMib)),
    around_each: (pssMibBelow - own) / plugins,
    service_rss: service.rssMib,
    service_pss: service.pssMib,
  };
}

export async function measure(): Promise<Report> {
  const { owner, end } = createOwner();
  try {
    const fleet = await openFleet(owner, plugins);
    const empty = fleet.memoryOfService();
    tell(`${plugins} plugins`);
    await fleet.grow(plugins);
    const moments = [look(fleet, 'armed, never called')];
    let serial = 0;
    const call = (method: string, payload: unknown) => async () => {
      const { status, body } = await fleet.call(idOf(serial++ % plugins), 'tool', method, payload);
      if (status !== 200) throw new Error(JSON.stringify(body));
    };
    tell('small calls');
    await drive(call('echo', 'x'.repeat(1024)), plugins * callsEach, atOnce);
    moments.push(look(fleet, `after ${callsEach} small calls each`));
    tell('calls that fill the heap');
    await drive(call('fill', listLength), plugins * callsEach, atOnce);
    moments.push(look(fleet, `after ${callsEach} calls that fill the heap`));
    return { table: draw(empty.rssMib, moments), figures: { plugins, service_without_plugins: empty, moments } };
  } finally {
    await end();
  }
}

function draw(emptyRssMib: number, moments: readonly Moment[]): string {
  const head = [`MiB, ${plugins} JS children`, 'PSS each', 'low to high', 'private', 'RSS', 'cage around each', 'service RSS', 'PSS'];
  const table = new Table({ head, style: { head: [], border: [], compact: true } });
  table.push(['service without a plugin', '', '', '', '', '', emptyRssMib.toFixed(0), '']);
  for (const { when, pss, rss, around_each, service_rss, service_pss, ...more } of moments)
    table.push([
      ...[when, ...showSpread(pss, 1), more.private.median.toFixed(1), rss.median.toFixed(1), around_each.toFixed(2)],
      ...[service_rss.toFixed(0), service_pss.toFixed(0)],
    ]);
  return table.toString();
}
