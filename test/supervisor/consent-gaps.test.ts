import t from 'tap';
import { eventually } from '../support/eventually.ts';
import { id, openSupervisor, operator } from '../support/open-supervisor.ts';
import { makeKey } from '../support/signed-bundle.ts';

t.test(
  'given an upgrade that is being recorded, when the plugin is disabled in that moment, then the new version can be activated afterwards',
  async (t) => {
    const { supervisor, store, activate, offer } = await openSupervisor(t);
    await activate();
    await offer({ version: '1.1.0' });
    const { setBundle } = store;
    let disabled: Promise<unknown> = Promise.resolve();
    Object.assign(store, {
      async setBundle(...args: Parameters<typeof setBundle>) {
        const record = await setBundle(...args);
        disabled = supervisor.setStatus({ id, status: 'disabled' }, operator);
        await eventually(() => supervisor.show(id).other_runtimes.every(({ state }) => state === 'stopped'));
        return record;
      },
    });

    t.match(await supervisor.upgrade({ id }, operator), { version: '1.1.0' });
    await disabled;

    t.match(supervisor.show(id), { status: 'disabled', version: '1.1.0', runtime: { state: 'stopped' } });
    t.match(await supervisor.setStatus({ id, status: 'active' }, operator), { status: 'active', runtime: { state: 'armed' } });
  },
);

t.test(
  'given a former version of the publisher who gave the id away, when it is gone back to, then it is refused before it runs',
  async (t) => {
    const rival = makeKey();
    const { supervisor, runner, activate, offer, trust, key, changes } = await openSupervisor(t);
    await activate();
    const publishers = { 'test.publisher': key.publicBase64, 'rival.publisher': rival.publicBase64 };
    trust.bytes = Buffer.from(JSON.stringify({ trusted_publishers: publishers }));
    await offer({ publisher: 'rival.publisher', version: '2.0.0' }, rival);
    await supervisor.transfer({ id, publisher: 'rival.publisher' }, operator);
    await supervisor.upgrade({ id }, operator);
    const before = { runs: runner.runs.length, changes: await changes() };

    await t.rejects(supervisor.rollback({ id }, operator), { code: 'conflict', details: { rule: 'publisher-conflict', hint: /transfer/ } });

    t.same({ runs: runner.runs.length, changes: await changes() }, before);
  },
);
