import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readConfig } from '../../supervisor/config.ts';
import { testFolder } from '../support/test-folder.ts';

const least = { LATTICE_DATA_DIR: '/srv/data', LATTICE_PLUGIN_DIR: '/srv/plugins', LATTICE_PLUGIN_TRUST: '/srv/trust.json' };

t.test('given the least there must be, when it is read, then the rest has its defaults and nothing can be changed', async (t) => {
  const config = readConfig({ ...least, PATH: '/usr/bin', LATTICE_URL: 'http://x', LATTICE_TOKEN_FILE: '/t' });
  t.match(config, {
    listen: { host: '127.0.0.1', port: 8088 },
    runner: 'subprocess',
    sandbox: 'isolated',
    allowRoot: false,
    logLevel: 'info',
    policy: { kv: { keys: 10_000 } },
  });
  t.throws(() => Object.assign(config, { runner: 'noop' }));
});

t.test('given many faults, when they are read, then one message names them all', async (t) => {
  const faulty = {
    LATTICE_DATA_DIR: 'relative',
    LATTICE_LISTEN: 'nowhere',
    LATTICE_RUNNER: 'docker',
    LATTICE_SANDBX: 'auto',
    LATTICE_POLICY: '/nonexistent/policy.json',
  };
  try {
    readConfig(faulty);
    t.fail('it was accepted');
  } catch (error) {
    const { message } = error as Error;
    for (const name of [
      'LATTICE_DATA_DIR',
      'LATTICE_PLUGIN_DIR is not set',
      'LATTICE_PLUGIN_TRUST is not set',
      'LATTICE_LISTEN is host:port',
      'LATTICE_RUNNER is one of',
      'LATTICE_SANDBX: no such setting',
      'LATTICE_POLICY',
    ]) {
      t.ok(message.includes(name), name);
    }
  }
});

for (const [text, expected] of [
  ['0.0.0.0:80', { host: '0.0.0.0', port: 80 }],
  ['[::1]:0', { host: '::1', port: 0 }],
  ['localhost:8088', { host: 'localhost', port: 8088 }],
  ['127.0.0.1', null],
  ['127.0.0.1:65536', null],
  ['::1:80', null],
] as const) {
  t.test(`given the listen address ${text}, when it is read, then it is ${expected ? 'accepted' : 'refused'}`, async (t) => {
    if (expected) t.same(readConfig({ ...least, LATTICE_LISTEN: text }).listen, expected);
    else t.throws(() => readConfig({ ...least, LATTICE_LISTEN: text }), { code: 'invalid-params' });
  });
}

t.test('given a policy file, when it is read, then it changes what it names and refuses what it does not know', async (t) => {
  const file = join(testFolder(t), 'policy.json');
  writeFileSync(file, JSON.stringify({ kv: { keys: 5 }, rates: { read: { per_second: 7, burst: 9 } } }));
  const { policy } = readConfig({ ...least, LATTICE_POLICY: file });
  t.match(policy, {
    kv: { keys: 5, bytes: 16 * 1024 * 1024 },
    rates: { read: { perSecond: 7, burst: 9 }, fetch: { perSecond: 20 } },
    ceilings: { memory_mib: 1024 },
  });
  writeFileSync(file, JSON.stringify({ rates: { raed: {} } }));
  t.throws(() => readConfig({ ...least, LATTICE_POLICY: file }), { message: /LATTICE_POLICY/ });
});

t.test(
  'given where an index is and what is opened for it, when they are read, then only a path or plain https, and only networks',
  async (t) => {
    const read = (more: Record<string, string>) => readConfig({ ...least, ...more });
    t.match(read({}), { marketIndex: null, marketAllow: [] });
    t.match(read({ LATTICE_MARKET_INDEX: '/srv/index.json', LATTICE_MARKET_ALLOW: '10.0.0.0/24:443, ::1' }), {
      marketIndex: '/srv/index.json',
      marketAllow: [{ bits: 24, port: 443 }, { port: null }],
    });
    t.equal(read({ LATTICE_MARKET_INDEX: 'https://plugins.example.com/index.json' }).marketIndex, 'https://plugins.example.com/index.json');
    for (const place of [
      'index.json',
      'http://a.example/i',
      'https://u:p@a.example/i',
      'https://a.example/i?token=1',
      'file:///srv/i',
      'https://',
    ])
      t.throws(() => read({ LATTICE_MARKET_INDEX: place }), /LATTICE_MARKET_INDEX must be an absolute path/, place);
    t.throws(
      () => read({ LATTICE_MARKET_ALLOW: '10.0.0.1/24,nowhere' }),
      /LATTICE_MARKET_ALLOW "10\.0\.0\.1\/24".*LATTICE_MARKET_ALLOW "nowhere"/s,
    );
  },
);

t.test(
  'given where to send the head of the audit, when it is read, then the interval has its default, and the channels file must be there',
  async (t) => {
    const channels = { LATTICE_NOTIFY_CHANNELS: '/etc/channels.json', LATTICE_AUDIT_HEAD_CHANNEL: 'head' };
    t.equal(readConfig(least).auditHead, null);
    t.same(readConfig({ ...least, ...channels }).auditHead, { channel: 'head', everyMs: 3_600_000 });
    t.match(readConfig({ ...least, ...channels, LATTICE_AUDIT_HEAD_SECONDS: '60' }).auditHead, { everyMs: 60_000 });
    t.throws(() => readConfig({ ...least, LATTICE_AUDIT_HEAD_CHANNEL: 'head' }), { message: /needs LATTICE_NOTIFY_CHANNELS/ });
    for (const seconds of ['9', '1e3', '604801'])
      t.throws(() => readConfig({ ...least, ...channels, LATTICE_AUDIT_HEAD_SECONDS: seconds }), {
        message: /LATTICE_AUDIT_HEAD_SECONDS is/,
      });
  },
);
