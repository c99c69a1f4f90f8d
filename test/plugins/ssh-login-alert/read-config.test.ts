import t from 'tap';
import { readConfig } from '../../../plugins/lattice.ssh-login-alert/read-config.ts';

t.test('given no settings, when they are read, then the defaults hold', async (t) => {
  t.same(readConfig({}), {
    channel: 'ops',
    learnFirst: false,
    failureThreshold: 10,
    failureWindowMinutes: 10,
    sourcesPerUser: 16,
    countInvalidUsers: false,
    burstAlertsPerHour: 20,
  });
});

t.test('given settings, when they are read, then they hold', async (t) => {
  t.match(readConfig({ channel: 'night.shift', learn_first: true, failure_threshold: 3, failure_window_minutes: 5, sources_per_user: 2 }), {
    channel: 'night.shift',
    learnFirst: true,
    failureThreshold: 3,
    failureWindowMinutes: 5,
    sourcesPerUser: 2,
  });
});

for (const config of [
  { chanel: 'ops' },
  { channel: 'No Such' },
  { channel: 7 },
  { learn_first: 'yes' },
  { failure_threshold: 1 },
  { failure_threshold: 2.5 },
  { failure_window_minutes: 0 },
  { sources_per_user: 65 },
  JSON.parse('{"__proto__":1}'),
  { toString: 1 },
]) {
  t.test(`given the settings ${JSON.stringify(config)}, when they are read, then they are refused`, async (t) => {
    t.throws(() => readConfig(config), { code: 'invalid-params' });
  });
}
