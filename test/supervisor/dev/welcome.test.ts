import t from 'tap';
import { printWelcome } from '../../../supervisor/dev/welcome.ts';
import type { PluginDetail, RefusedBundle, Supervisor } from '../../../supervisor/plugin-view.ts';
import { samplePlugin, sampleUpgrade } from '../http/fake-supervisor.ts';

function welcome(plugins: PluginDetail[], refused: RefusedBundle[] = []): string {
  let text = '';
  const out = { write: (more: string) => (text += more) };
  const supervisor = { list: () => plugins, refused: () => refused } as unknown as Supervisor; // the two that are asked
  const service = {
    url: 'http://127.0.0.1:1',
    adminTokenFile: 'admin.token',
    tokenProblem: null,
    sandbox: null,
    supervisor,
    safeMode: null,
  };
  printWelcome(service, { dataDir: '/data' }, { out, isCheckout: true });
  return text;
}

for (const [what, changes, verbs] of [
  ['is new', { status: 'verified' }, ['install', 'activate', 'call']],
  ['is installed', { status: 'installed' }, ['activate', 'call']],
  ['runs', { status: 'active' }, ['call']],
  ['runs, and has an upgrade', { status: 'active', upgrade: sampleUpgrade() }, ['upgrade', 'call']],
] as const) {
  t.test(`given an example that ${what}, when the project is started, then what is left to do is proposed`, async (t) => {
    const text = welcome([samplePlugin('example.hello', changes)]);
    t.same(
      [...text.matchAll(/lattice plugins (\w+) example/g)].map(([, verb]) => verb),
      verbs,
    );
  });
}

t.test('given other bytes of the same version, when the project is started, then they are named as by `plugins list`', async (t) => {
  const upgrade = sampleUpgrade({ version: '1.0.0', change: 'same-version' });
  t.match(
    welcome([samplePlugin('example.hello', { status: 'active', upgrade })]),
    'example.hello (active, other bytes of 1.0.0 available)',
  );
});

t.test('given a plugin of another publisher, when the project is started, then it is said who counts there', async (t) => {
  const detail = 'publisher acme.x is not in the trust policy';
  t.match(
    welcome([], [{ folder: 'acme.one', code: 'publisher-not-trusted', detail }]),
    /acme\.x is not in the trust policy\n +With npm start only the publisher dev\.local counts, for ids that begin with example\. or lattice\./,
  );
});
