import { chmodSync, chownSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { checkPaths, checkTrustFile } from '../../supervisor/check-paths.ts';
import { testFolder } from '../support/test-folder.ts';

const uid = process.getuid?.() ?? -1;

function makePlace(t: Test) {
  const folder = testFolder(t);
  const paths = { dataDir: join(folder, 'data'), pluginDir: join(folder, 'plugins'), trustFile: join(folder, 'trust.json') };
  for (const path of [paths.dataDir, join(paths.dataDir, 'staging'), paths.pluginDir]) mkdirSync(path, { mode: 0o755 });
  writeFileSync(paths.trustFile, '{}');
  return { folder, ...paths, staging: join(paths.dataDir, 'staging') };
}
type Place = ReturnType<typeof makePlace>;

t.test('given folders that only the service can write, when it starts, then nothing is said', async (t) => {
  const place = makePlace(t);
  t.doesNotThrow(() => checkPaths(place, uid));
  rmSync(place.dataDir, { recursive: true }); // the first start
  t.doesNotThrow(() => checkPaths(place, uid));
});

t.test('given a plugin directory inside the data directory, as at npm start, when it starts, then nothing is said', async (t) => {
  const place = makePlace(t);
  const pluginDir = join(place.dataDir, 'plugins');
  mkdirSync(pluginDir);
  t.doesNotThrow(() => checkPaths({ ...place, pluginDir }, uid));
});

const faults: Readonly<Record<string, { rule: string; spoil(place: Place): unknown }>> = {
  'a plugin directory that the group can write': { rule: 'writable-by-others', spoil: ({ pluginDir }) => chmodSync(pluginDir, 0o775) },
  'a plugin directory that everybody can write': { rule: 'writable-by-others', spoil: ({ pluginDir }) => chmodSync(pluginDir, 0o757) },
  'a plugin directory under one that everybody can write': {
    rule: 'writable-by-others',
    spoil({ folder }) {
      mkdirSync(join(folder, 'open/plugins'), { recursive: true });
      chmodSync(join(folder, 'open'), 0o777);
      return { pluginDir: join(folder, 'open/plugins') };
    },
  },
  'a staging folder that the group can write': { rule: 'writable-by-others', spoil: ({ staging }) => chmodSync(staging, 0o770) },
  'a staging folder that is a link': {
    rule: 'not-a-folder',
    spoil({ staging, folder }) {
      rmSync(staging, { recursive: true });
      mkdirSync(join(folder, 'elsewhere'));
      symlinkSync(join(folder, 'elsewhere'), staging);
    },
  },
  'a trust policy that everybody can replace, also by a link to it': {
    rule: 'writable-by-others',
    spoil({ folder }) {
      mkdirSync(join(folder, 'shared'));
      writeFileSync(join(folder, 'shared/trust.json'), '{}');
      chmodSync(join(folder, 'shared'), 0o777);
      symlinkSync(join(folder, 'shared/trust.json'), join(folder, 'link.json'));
      return { trustFile: join(folder, 'link.json') };
    },
  },
  'a link to a trust policy that everybody can replace': {
    rule: 'writable-by-others',
    spoil({ folder, trustFile }) {
      mkdirSync(join(folder, 'shared'));
      chmodSync(join(folder, 'shared'), 0o777);
      symlinkSync(trustFile, join(folder, 'shared/link.json'));
      return { trustFile: join(folder, 'shared/link.json') };
    },
  },
  'a trust policy that everybody can write': { rule: 'writable-by-others', spoil: ({ trustFile }) => chmodSync(trustFile, 0o666) },
  'a data directory in the plugin directory': {
    rule: 'writes-in-plugin-dir',
    spoil: ({ pluginDir }) => ({ dataDir: join(pluginDir, 'data') }),
  },
  'one directory for both': { rule: 'writes-in-plugin-dir', spoil: ({ pluginDir }) => ({ dataDir: pluginDir }) },
  'a data directory that a link leads into the plugin directory': {
    rule: 'writes-in-plugin-dir',
    spoil({ pluginDir, folder }) {
      mkdirSync(join(pluginDir, 'inner'));
      symlinkSync(join(pluginDir, 'inner'), join(folder, 'link'));
      return { dataDir: join(folder, 'link/data') };
    },
  },
  'staging as plugin directory': { rule: 'writes-in-plugin-dir', spoil: ({ staging }) => ({ pluginDir: staging }) },
  'a plugin directory in the folder of the logs': {
    rule: 'writes-in-plugin-dir',
    spoil({ dataDir }) {
      mkdirSync(join(dataDir, 'logs/plugins'), { recursive: true });
      return { pluginDir: join(dataDir, 'logs/plugins') };
    },
  },
};
for (const [name, { rule, spoil }] of Object.entries(faults)) {
  t.test(`given ${name}, when the service starts, then it refuses and names the way out`, async (t) => {
    const place = makePlace(t);
    const changed = (spoil(place) ?? {}) as Partial<Place>; // paths to take instead, or nothing
    t.throws(() => checkPaths({ ...place, ...changed }, uid), { code: 'invalid-params', details: { rule, hint: /./ } });
  });
}

t.test('given folders of another user, when the service starts, then it refuses', { skip: uid !== 0 && 'needs root' }, async (t) => {
  const place = makePlace(t);
  chownSync(place.pluginDir, 4242, 4242);
  t.throws(() => checkPaths(place, 0), { code: 'invalid-params', details: { rule: 'owned-by-another' } });
  chownSync(place.pluginDir, 0, 0);
  t.doesNotThrow(() => checkPaths({ ...place, dataDir: join(place.folder, 'other') }, 4242), 'a directory of root serves every user');
  chownSync(place.staging, 4242, 4242);
  t.throws(() => checkPaths(place, 0), { code: 'invalid-params', details: { rule: 'owned-by-another' } });
  chownSync(place.staging, 0, 0);
  chownSync(place.trustFile, 4242, 4242);
  t.throws(() => checkPaths(place, 0), { code: 'invalid-params', details: { rule: 'owned-by-another', hint: /chown/ } });
  t.throws(
    () => checkTrustFile(place.trustFile, 0),
    { code: 'invalid-params', details: { rule: 'owned-by-another' } },
    'also when it is read again',
  );
  t.doesNotThrow(() => checkTrustFile(place.trustFile, 4242));
});
