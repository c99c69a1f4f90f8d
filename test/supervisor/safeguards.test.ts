import t from 'tap';
import { HostError } from '../../protocol/errors.ts';
import { id, openSupervisor, operator, staysSilent } from '../support/open-supervisor.ts';

const changed = () => new HostError('changed-since-shown', 'it is another one now');

t.test('given two who saw the same configuration, when both replace it, then the second is refused where it would be stored', async (t) => {
  const { supervisor, activate } = await openSupervisor(t);
  await activate();
  const replace = (colour: string) => {
    const seen = JSON.stringify(supervisor.config(id));
    const guard = () => {
      if (JSON.stringify(supervisor.config(id)) !== seen) throw changed();
    };
    return supervisor.setConfig(id, { colour }, operator, { guard });
  };

  const outcomes = await Promise.allSettled([replace('green'), replace('blue')]);

  t.match(outcomes, [{ status: 'fulfilled' }, { status: 'rejected', reason: { code: 'changed-since-shown' } }]);
  t.same(supervisor.config(id), { colour: 'green' });
});

const guard = () => {
  throw changed();
};
for (const [what, change] of [
  ['a status', (supervisor) => supervisor.setStatus({ id, status: 'disabled' }, operator, { guard })],
  ['an upgrade', (supervisor) => supervisor.upgrade({ id }, operator, { guard })],
  ['a rollback', (supervisor) => supervisor.rollback({ id }, operator, { guard })],
  ['a transfer', (supervisor) => supervisor.transfer({ id, publisher: 'acme.tools' }, operator, { guard })],
  ['a reset', (supervisor) => supervisor.reset(id, operator, { guard })],
  ['the configuration', (supervisor) => supervisor.setConfig(id, { colour: 'green' }, operator, { guard })],
  ['the hosts', (supervisor) => supervisor.setEgress(id, [], operator, { guard })],
] as [string, (supervisor: Awaited<ReturnType<typeof openSupervisor>>['supervisor']) => Promise<unknown>][]) {
  t.test(`given a condition that does not hold, when ${what} is to change, then nothing does`, async (t) => {
    const { supervisor, activate, offer, changes } = await openSupervisor(t);
    await activate();
    await offer({ version: '2.0.0' });
    const [shown, noted] = [JSON.stringify(supervisor.show(id)), await changes()];

    await t.rejects(change(supervisor), { code: 'changed-since-shown' });

    t.equal(JSON.stringify(supervisor.show(id)), shown);
    t.same(await changes(), noted);
  });
}

t.test('given an upgrade under way, when it is to be disabled under a condition, then the upgrade is not given up for that', async (t) => {
  const { supervisor, activate, offer, behave, runner } = await openSupervisor(t);
  await activate();
  await offer({ version: '2.0.0' });
  behave.now = staysSilent;
  const before = runner.runs.length;
  const upgrade = supervisor.upgrade({ id }, operator);
  while (runner.runs.length === before) await new Promise((resolve) => setImmediate(resolve));
  const refused = t.rejects(supervisor.setStatus({ id, status: 'disabled' }, operator, { guard }), { code: 'changed-since-shown' });
  runner.last().events.ready();

  t.match(await upgrade, { version: '2.0.0', status: 'active' });
  await refused;
  t.match(supervisor.show(id), { version: '2.0.0', status: 'active' });
});
