import t from 'tap';
import { testFolder } from '../../support/test-folder.ts';
import { runLattice, startWithCli } from './run-lattice.ts';

t.test('given a service, when the doctor is asked, then it shows its layers, what was found and how to get what is missing', async (t) => {
  const app = await startWithCli(t);
  const { stdout, exitCode } = await app.lattice(['doctor']);
  t.equal(exitCode, 0);
  for (const text of [
    'restricted',
    'namespaces',
    'bwrap is not installed',
    'apt-get install bubblewrap',
    'node-permission',
    'wait for a plugin: 1 of the 2 asked for',
  ])
    t.ok(stdout.includes(text), text);
  t.match(await app.json(['doctor']), {
    exitCode: 0,
    value: {
      running: true,
      waiting_children: { now: 1, asked: 2 },
      sandbox: { level: 'restricted', layers: [{ layer: 'namespaces' }, {}] },
    },
  });
});

t.test('given no service, when the doctor is asked, then it tries the sandbox itself', async (t) => {
  const { stdout, exitCode } = await runLattice(['doctor', '--json'], { environment: { LATTICE_DATA_DIR: testFolder(t) } });
  t.equal(exitCode, 0);
  const found = JSON.parse(stdout);
  t.match(found, {
    running: false,
    sandbox: { level: /^(isolated|restricted|none)$/, minimum: 'isolated', probed: { times: 1, could_tell: true } },
  });
  t.ok(found.sandbox.layers.length >= 6);
});
