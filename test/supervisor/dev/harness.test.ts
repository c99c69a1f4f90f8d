import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { checkFixture } from '../../../supervisor/dev/fixture/read-fixture.ts';
import { openWorkshop } from '../../../supervisor/dev/harness/workshop.ts';
import { createManualClock } from '../../../supervisor/dev/manual-clock.ts';
import { packPlugin } from '../../../supervisor/publish/pack-plugin.ts';
import { placeBundle } from '../../../supervisor/publish/place-bundle.ts';
import { eventually } from '../../support/eventually.ts';
import { openTestHarness, pluginFolder } from '../../support/plugin-folder.ts';

const workshop = await openWorkshop();

t.test('given a plugin that counts in kv, when it is called, then it answers, and calls, log and entries are seen', async (t) => {
  const code = `{ services: { tool: {
    async count(name, { host }) {
      const { value, revision } = await host.kv.get({ key: name });
      await host.kv.put({ key: name, value: String(Number(value ?? 0) + 1), if_revision: revision });
      await host.log.write({ message: 'counted' });
      return Number(value ?? 0) + 1;
    },
  } } }`;
  const folder = pluginFolder(t, { code, manifest: { capabilities: ['kv:read', 'kv:write', 'log:write'] } });
  const { harness, of } = await openTestHarness(t, workshop, { folder });

  await harness.start();

  t.equal(await harness.call('tool', 'count', 'a'), 1);
  t.equal(await harness.call('tool', 'count', 'a'), 2);
  t.same(await harness.kv(), [{ bucket: 'plugin:example.test', key: 'a', value: '2', revision: 2 }]);
  t.equal(harness.level, workshop.runner.sandbox()?.level, 'caged as the machine can');
  t.equal(harness.view()?.sandbox, harness.level);
  t.same(
    of('host-answer').map(({ method, verdict, by, outcome }) => [method, verdict, by, outcome.ok]),
    [1, 2].flatMap(() => ['kv.get', 'kv.put', 'log.write'].map((method) => [method, 'allow', 'mock', true])),
  );
  t.same(
    of('log').map(({ text }) => text),
    ['counted', 'counted'],
  );
  const decisions = (await harness.audit()).filter(({ kind }) => kind === 'host.decision');
  t.same(
    decisions.slice(0, 3).map(({ method, verdict }) => [method, verdict]),
    [
      ['kv.get', 'allow'],
      ['kv.put', 'allow'],
      ['log.write', 'allow'],
    ],
  );
});

t.test('given no capability and a fixture that would answer, when the plugin asks, then it is refused with the line to add', async (t) => {
  const code = `{ services: { tool: { async put(_, { host }) { await host.kv.put({ key: 'a', value: 'b' }); } } } }`;
  const folder = pluginFolder(t, { code });
  const fixture = checkFixture({ calls: [{ method: 'kv.put', result: { revision: 9 } }] });
  const { harness, of } = await openTestHarness(t, workshop, { folder, fixture });
  await harness.start();

  await t.rejects(harness.call('tool', 'put'), { code: 'capability-denied' });

  t.match(of('host-answer'), [
    {
      verdict: 'deny',
      by: 'broker',
      outcome: { error: { details: { capability: 'kv:write', risk: 'write', pointer: '/capabilities/-', line: '"kv:write"' } } },
    },
  ]);
  t.same(harness.unusedFixtureLines(), ['/calls/0 (kv.put)']);
});

t.test('given a fixture with a sequence, an error and a delay, when calls come, then they are answered so on the mock clock', async (t) => {
  const code = `{ services: { tool: {
    async get(key, { host }) { return (await host.kv.get({ key })).value; },
  } } }`;
  const folder = pluginFolder(t, { code, manifest: { capabilities: ['kv:read'] } });
  const clock = createManualClock();
  const fixture = checkFixture({
    kv: { stored: 'from the bucket', slow: 'late' },
    calls: [
      {
        method: 'kv.get',
        params: { key: 'flaky' },
        sequence: [{ error: { code: 'unavailable' } }, { result: { value: 'ok', revision: 1 } }],
      },
      { method: 'kv.get', params: { key: 'st*' }, nth: 2, error: { code: 'rate-limited', details: { retry_after_ms: 5 } } },
      { method: 'kv.get', params: { key: 'slow' }, delay_ms: 60_000 },
    ],
  });
  const { harness, of } = await openTestHarness(t, workshop, { folder, fixture, clock });
  await harness.start();

  await t.rejects(harness.call('tool', 'get', 'flaky'), { code: 'unavailable' });
  t.equal(await harness.call('tool', 'get', 'flaky'), 'ok');
  t.equal(await harness.call('tool', 'get', 'flaky'), 'ok', 'the last answer stays');
  t.equal(await harness.call('tool', 'get', 'stored'), 'from the bucket');
  await t.rejects(harness.call('tool', 'get', 'stored'), { code: 'rate-limited' });
  const before = clock.pending();
  const slow = harness.call('tool', 'get', 'slow');
  await eventually(() => clock.pending() > before);
  await clock.advance(60_000);
  t.equal(await slow, 'late');
  t.same(
    of('host-answer').map(({ by }) => by),
    ['fixture', 'fixture', 'fixture', 'mock', 'fixture', 'mock'],
  );
});

t.test('given recorded responses, when the plugin fetches, then the rules of the real client hold', async (t) => {
  const code = `{ services: { tool: {
    fetch: (params, { host }) => host.http.fetch(params),
  } } }`;
  const manifest = { capabilities: ['http:egress'], egress: ['api.example.com:443'] };
  const folder = pluginFolder(t, { code, manifest });
  const fixture = checkFixture({
    http: [
      { url: 'https://api.example.com/today*', json: { degrees: 7 }, times: 1 },
      { url: 'https://api.example.com/away', status: 302, headers: { Location: 'https://other.example.com/' } },
      { url: 'https://api.example.com/big', body: 'x'.repeat(2000) },
      { url: 'https://api.example.com/down', unreachable: true },
    ],
  });
  const { harness } = await openTestHarness(t, workshop, { folder, fixture });
  await harness.start();
  const fetch = (path: string, more = {}) => harness.call('tool', 'fetch', { url: `https://api.example.com${path}`, ...more });

  t.match(await fetch('/today?city=x'), { status: 200, body: '{"degrees":7}', headers: { 'content-type': 'application/json' } });
  await t.rejects(
    fetch('/today'),
    { code: 'unavailable', details: { hint: /http: \[\{ url: "https:\/\/api\.example\.com\/today/ } },
    'used up',
  );
  await t.rejects(fetch('/away'), { code: 'egress-blocked' }, 'a redirect is checked like the real one');
  await t.rejects(fetch('/big', { max_bytes: 100 }), { code: 'payload-too-large' });
  await t.rejects(fetch('/down'), { code: 'unavailable' });
  await t.rejects(fetch('/today', { headers: { host: 'x' } }), { code: 'invalid-params' });
  await t.rejects(harness.call('tool', 'fetch', { url: 'https://elsewhere.example.com/' }), { code: 'egress-blocked' });
});

t.test('given channels of the fixture, when the plugin notifies, then it is captured, and a closed channel is refused', async (t) => {
  const code = `{ services: { tool: {
    send: (channel, { host }) => host.notify.send({ channel, title: 'Disk is filling' }),
  } } }`;
  const folder = pluginFolder(t, { code, manifest: { capabilities: ['notify:send'] } });
  const { harness } = await openTestHarness(t, workshop, { folder, fixture: checkFixture({ channels: ['ops'] }) });
  await harness.start();

  await harness.call('tool', 'send', 'ops');
  await t.rejects(harness.call('tool', 'send', 'other'), { code: 'not-found' });

  t.match(harness.notifications(), [{ channel: 'ops', title: 'Disk is filling', text: '', severity: 'info' }]);
  t.equal(harness.notifications().length, 1);
});

t.test('given a build that fails, when it is reloaded, then the last good one goes on, and a mended one replaces it', async (t) => {
  const code = (word: string) => `{ services: { tool: { say: () => '${word}' } } }`;
  const folder = pluginFolder(t, { code: code('one') });
  const { harness, of } = await openTestHarness(t, workshop, { folder });
  await harness.start();

  writeFileSync(join(folder, 'plugin.js'), 'export default { services: { tool: { say( } } };\n');
  await t.rejects(harness.reload(), { code: 'invalid-params', message: /plugin\.js:1:\d+/ });
  t.equal(await harness.call('tool', 'say'), 'one');
  writeFileSync(join(folder, 'plugin.js'), `export default ${code('two')};\n`);
  await harness.reload();

  t.equal(await harness.call('tool', 'say'), 'two');
  t.same(
    of('build').map(({ ok }) => ok),
    [true, false, true],
  );
});

t.test('given a plugin that throws at its start, when it is started, then the error holds its last words', async (t) => {
  const folder = pluginFolder(t, {
    code: `{ onStart() { throw new Error('the setting "city" is missing'); }, services: { tool: {} } }`,
    manifest: { services: [] },
  });
  const { harness } = await openTestHarness(t, workshop, { folder });

  await t.rejects(harness.start(), { code: 'plugin-crashed', details: { hint: /the setting "city" is missing/ } });
});

t.test('given everything granted, when the plugin asks, then it is answered, and what it used is known', async (t) => {
  const code = `{ services: { tool: {
    async all(_, { host }) {
      const answer = await host.http.fetch({ url: 'https://API.example.com/x' });
      await host.kv.get({ bucket: 'places', key: 'home' });
      await host.notify.send({ channel: 'ops', title: 'x' });
      return answer.status;
    },
  } } }`;
  const folder = pluginFolder(t, { code });
  const { harness } = await openTestHarness(t, workshop, { folder, grantAll: true });
  await harness.start();

  t.equal(await harness.call('tool', 'all'), 200);

  const used = harness.used();
  t.same([...(used?.capabilities ?? [])].sort(), ['http:egress', 'kv:read', 'notify:send']);
  t.same(used?.egress, ['api.example.com:443']);
  t.same(used?.readBuckets, ['places']);
});

t.test('given a secret in the settings, when it is sent, stored and printed, then no event holds it', async (t) => {
  const code = `{ services: { tool: {
    async leak(_, { host, config }) {
      console.error('the key is ' + config.api_key);
      await host.kv.put({ key: 'state', value: JSON.stringify({ key: config.api_key }) });
      await host.http.fetch({ url: 'https://api.example.com/?q=' + config.api_key, headers: { Authorization: 'Bearer ' + config.api_key } });
      return config.api_key;
    },
  } } }`;
  const manifest = { capabilities: ['kv:write', 'http:egress'], egress: ['api.example.com:443'] };
  const folder = pluginFolder(t, { code, manifest });
  const fixture = checkFixture({ http: [{ url: '*' }] });
  const secret = 'S3cr"et-\\value';
  const { harness, events, of, until } = await openTestHarness(t, workshop, {
    folder,
    fixture,
    config: { api_key: secret },
    messages: true,
  });
  await harness.start();

  t.equal(await harness.call('tool', 'leak'), secret, 'the caller gets it');
  await until(() => of('log').length > 0);

  const text = JSON.stringify(events);
  t.notMatch(text, 'S3cr');
  t.match(text, 'redacted');
  t.ok(of('message').some(({ direction }) => direction === 'in') && of('message').some(({ direction }) => direction === 'out'));
});

t.test('given a pause, when the plugin asks, then it waits until it is let go', async (t) => {
  const code = `{ services: { tool: { get: (key, { host }) => host.kv.get({ key }) } } }`;
  const folder = pluginFolder(t, { code, manifest: { capabilities: ['kv:read'] } });
  const { harness, of, until } = await openTestHarness(t, workshop, { folder });
  await harness.start();

  harness.pause();
  const call = harness.call('tool', 'get', 'a');
  await until(() => of('paused').length > 0);
  t.same(of('host-answer'), []);
  harness.resume();

  t.same(await call, { value: null, revision: 0 });
});

t.test('given a packed bundle, when it is run, then its own key does not matter, but its bytes do', async (t) => {
  const folder = pluginFolder(t, { code: "{ services: { tool: { say: () => 'packed' } } }" });
  const packed = await packPlugin(folder, generateKeyPairSync('ed25519').privateKey);
  placeBundle(packed, join(folder, 'bundles'));
  const bundle = join(folder, 'bundles', packed.id);
  const { harness } = await openTestHarness(t, workshop, { folder: bundle });
  await harness.start();
  t.same([harness.form, await harness.call('tool', 'say')], ['bundle', 'packed']);

  writeFileSync(join(bundle, 'artifact'), 'export default {};\n');
  await t.rejects(harness.reload(), { code: 'verification-failed', details: { rule: 'digest-mismatch' } });
  t.equal(await harness.call('tool', 'say'), 'packed', 'what runs goes on');
  writeFileSync(join(bundle, 'manifest.json'), '{"id":"some.v1"}');
  await t.rejects(harness.reload(), { code: 'verification-failed', details: { rule: 'public-form' } });
});

t.test(
  'given large messages both ways, when they pass the harness, then they pass whole, and one too large ends as in the service',
  async (t) => {
    const code = `{ services: { tool: {
    double: (text) => text + text,
    flood() { writeAll('{"jsonrpc":"' + 'y'.repeat(2_000_000)); return new Promise(() => {}); },
  } } }`;
    const writeAll = `function writeAll(text) {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; ) try { at += writeSync(1, bytes, at); } catch (error) { if (error.code !== 'EAGAIN') throw error; }
  }`;
    const folder = pluginFolder(t, { code });
    writeFileSync(join(folder, 'plugin.js'), `import { writeSync } from 'node:fs';\n${writeAll}\nexport default ${code};\n`);
    const { harness, of, until } = await openTestHarness(t, workshop, { folder, messages: true });
    await harness.start();

    const text = 'ä'.repeat(200_000);
    t.equal(await harness.call('tool', 'double', text), text + text);
    await t.rejects(harness.call('tool', 'flood'), { code: 'plugin-crashed' });
    await until(() => of('state').some(({ to }) => to === 'backoff'));
    t.match(harness.why()?.exits[0], { cause: 'protocol-violation', detail: /^line-too-long/ });
  },
);
