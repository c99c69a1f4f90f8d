import t from 'tap';
import { settleRoot } from '../../supervisor/root.ts';

function createProcess(uid: number) {
  const did: unknown[] = [];
  const process = {
    getuid: () => uid,
    initgroups: (...args: unknown[]) => void did.push(['initgroups', ...args]),
    setgid: (id: number) => void did.push(['setgid', id]),
    setuid: (id: number) => void did.push(['setuid', id]),
  };
  return { did, process };
}

t.test('given root without a word, when the service starts, then it refuses and names both ways', async (t) => {
  const { did, process } = createProcess(0);
  t.throws(() => settleRoot({ runAs: null, allowRoot: false }, process), {
    code: 'invalid-params',
    details: { hint: /LATTICE_RUN_AS.*LATTICE_ALLOW_ROOT/ },
  });
  t.same(did, []);
});

t.test('given root that may stay, when the service starts, then it says so in one line', async (t) => {
  t.match(settleRoot({ runAs: null, allowRoot: true }, createProcess(0).process), /running as root/);
});

t.test('given root and a user, when the service starts, then groups go first and the uid last', async (t) => {
  const { did, process } = createProcess(0);
  t.equal(settleRoot({ runAs: 'nobody', allowRoot: false }, process), null);
  t.match(did, [
    ['initgroups', 'nobody', Number],
    ['setgid', Number],
    ['setuid', 65534],
  ]);
});

for (const [name, uid, runAs] of [
  ['a user that does not exist', 0, 'no-such-user'],
  ['root by name', 0, 'root'],
  ['a user, when not started as root', 1000, 'nobody'],
] as const) {
  t.test(`given ${name}, when the service starts, then it refuses and changes nothing`, async (t) => {
    const { did, process } = createProcess(uid);
    t.throws(() => settleRoot({ runAs, allowRoot: false }, process), { code: 'invalid-params' });
    t.same(did, []);
  });
}

t.test('given an ordinary user, when the service starts, then there is nothing to settle', async (t) => {
  t.equal(settleRoot({ runAs: null, allowRoot: false }, createProcess(1000).process), null);
});
