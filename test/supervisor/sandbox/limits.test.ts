import t from 'tap';
import { defaultResources } from '../../../protocol/manifest.ts';
import { type LimitRequest, planLimits } from '../../../supervisor/sandbox/limits.ts';

const mebibyte = 1024 * 1024;
const plan = (change: Partial<LimitRequest> = {}) =>
  planLimits({ level: 'isolated', engine: 'node', resources: defaultResources, ownUid: false, payloadBytes: 0, ...change });
const readLimit = (args: readonly string[], name: string) => args.find((arg) => arg.startsWith(`--${name}=`))?.split('=')[1];

const notEnforced: [name: string, change: Partial<LimitRequest>, expected: string[]][] = [
  ['a caged JS plugin', {}, ['cpu_percent']],
  ['a caged native plugin', { engine: 'native' }, ['memory_mib', 'cpu_percent']],
  ['a JS plugin below what V8 needs', { resources: { ...defaultResources, memory_mib: 16 } }, ['memory_mib', 'cpu_percent']],
  ['a JS plugin with fewer pids than Node has threads', { resources: { ...defaultResources, pids: 4 } }, ['cpu_percent', 'pids']],
  ['a native plugin with few pids', { engine: 'native', resources: { ...defaultResources, pids: 1 } }, ['memory_mib', 'cpu_percent']],
  ['restricted under a uid of its own', { level: 'restricted', ownUid: true }, ['cpu_percent']],
  ['restricted under the uid of the service', { level: 'restricted' }, ['cpu_percent', 'pids']],
  ['level none', { level: 'none' }, ['memory_mib', 'cpu_percent', 'pids', 'tmp_mib']],
  ['a cgroup', { level: 'isolated+cgroup', resources: { ...defaultResources, memory_mib: 16, pids: 4 } }, []],
];
for (const [name, change, expected] of notEnforced) {
  t.test(`given ${name}, when limits are planned, then those that cannot hold are listed`, async (t) => {
    t.same(plan(change).notEnforced, expected);
  });
}

t.test('given more memory in the manifest, when limits are planned, then the cap and the JS heap grow with it', async (t) => {
  const data = (memory: number) =>
    Number(readLimit(plan({ resources: { ...defaultResources, memory_mib: memory } }).prlimit, 'data')?.split(':')[0]);
  t.equal(data(512) - data(128), 384 * mebibyte);
  t.equal(data(16), data(64), 'less than V8 needs is not tried');
  t.ok(plan({ resources: { ...defaultResources, memory_mib: 512 } }).node.includes('--max-old-space-size=384'));
});

t.test('given a large artifact, when limits are planned, then its text does not count against the plugin', async (t) => {
  const data = (payloadBytes: number) => Number(readLimit(plan({ payloadBytes }).prlimit, 'data')?.split(':')[0]);
  t.equal(data(64 * mebibyte) - data(0), 4 * 64 * mebibyte);
});

t.test('given restricted under the service’s uid, when limits are planned, then NPROC is left alone and no file may grow', async (t) => {
  const { prlimit } = plan({ level: 'restricted' });
  t.equal(readLimit(prlimit, 'nproc'), undefined, 'it would count every process of the service’s user');
  t.equal(readLimit(prlimit, 'fsize'), '0:0');
  t.equal(readLimit(plan({ level: 'restricted', ownUid: true }).prlimit, 'nproc'), '33:33');
});

t.test(
  'given a native plugin, when limits are planned, then its memory is what the manifest says and no flags of Node are given',
  async (t) => {
    const { prlimit, node } = plan({ engine: 'native' });
    t.equal(readLimit(prlimit, 'data'), `${128 * mebibyte}:${128 * mebibyte}`);
    t.equal(readLimit(prlimit, 'as'), `${1024 * mebibyte}:${1024 * mebibyte}`);
    t.same(node, []);
  },
);

t.test('given level none, when limits are planned, then prlimit is not needed', async (t) => {
  t.same(plan({ level: 'none' }).prlimit, []);
});
