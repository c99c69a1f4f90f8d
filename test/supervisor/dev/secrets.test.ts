import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { asHostError } from '../../../protocol/errors.ts';
import { createRealClock } from '../../../supervisor/clock.ts';
import { checkFixture } from '../../../supervisor/dev/fixture/read-fixture.ts';
import { openWorkshop } from '../../../supervisor/dev/harness/workshop.ts';
import { type Inspector, openInspector } from '../../../supervisor/dev/inspector/inspector.ts';
import { createRecorder, type Recorder } from '../../../supervisor/dev/replay/record-session.ts';
import { openTestHarness, pluginFolder } from '../../support/plugin-folder.ts';

const secrets = {
  setting: 'c0nf1g-s3cr3t',
  line: 'MIIsecondLineOfTheKey0123456789',
  pin: '8405512',
  stored: 'st0red-s3cr3t',
  written: 'wr1tten-s3cr3t',
  header: 'h3ader-s3cr3t',
  url: 'url-s3cr3t',
  token: 'ghp_abcdefghijklmnopqrstuvwxyz0123456789',
};
const config = {
  api_key: secrets.setting,
  pem: { private_key: `-----BEGIN PRIVATE KEY-----\n${secrets.line}\n-----END PRIVATE KEY-----` },
  login: { pass: Number(secrets.pin) },
};
const code = `{ services: { tool: {
    async leak(given, { host, config, progress }) {
      const { api_key: secret, pem, login } = config;
      progress({ at: secret });
      for (const line of pem.private_key.split('\\n')) console.error('key: ' + line);
      console.log(JSON.stringify({ inner: JSON.stringify({ secret, pin: login.pass }) }));
      process.stdout.write('stray ' + 'x'.repeat(970) + secret + '\\n');
      await host.log.write({ level: 'warn', message: 'with ' + encodeURIComponent(secret) + ' and ' + given.token, fields: { a: secret } });
      await host.kv.put({ key: 'db_password', value: '${secrets.written}' });
      const { value } = await host.kv.get({ key: 'api_token' });
      console.error('stored: ' + value + ', written: ${secrets.written}');
      await host.http.fetch({ url: 'https://ada:${secrets.url}@api.example.com/?a=' + secret, headers: { 'x-auth-key': '${secrets.header}' } }).catch((e) => console.error(e.message));
      await host.notify.send({ channel: 'ops', title: 'x', text: Buffer.from('ab' + secret + 'c').toString('base64') });
      await host.kv.nosuch({ value: secret, list: [{ name: 'Authorization', value: '${secrets.header}' }] }).catch(() => {});
      return { value, pin: login.pass, secret: [secret], text: 'at https://${secrets.url}@example.com/' };
    },
    fail: (_, { config }) => { throw Object.assign(new Error('no: ' + config.api_key), { code: 'conflict', details: { why: { with: config.api_key } } }); },
    crash: (_, { config }) => { console.error('end: ' + config.api_key); throw new Error(config.api_key); },
} } }`;

t.test('given a plugin that tells its secrets wherever it can, when it is recorded and shown, then none is found there', async (t) => {
  const capabilities = ['kv:read', 'kv:write', 'log:write', 'http:egress', 'notify:send'];
  const folder = pluginFolder(t, { code, manifest: { capabilities, egress: ['api.example.com:443'] } });
  const file = join(folder, 'session.ndjson');
  let recorder: Recorder | null = null;
  let inspector: Inspector | null = null;
  const { harness, events } = await openTestHarness(t, await openWorkshop(), {
    folder,
    config,
    fixture: checkFixture({
      kv: { api_token: secrets.stored, shown: 'seen' },
      http: [{ url: '*', headers: { 'set-cookie': `id=${secrets.header}` }, body: secrets.setting }],
    }),
    messages: true,
    onEvent: (event) => inspector?.show(event),
    onBundle: (bundle) => recorder?.begin(bundle),
    onLine: (direction, line) => recorder?.message(direction, line),
  });
  recorder = createRecorder(file, { clock: createRealClock(), redact: harness.redact });
  inspector = await openInspector(harness, () => {});
  t.teardown(() => inspector?.close());

  await harness.start();
  const result = await harness.call('tool', 'leak', { token: secrets.token });
  t.match(result, { value: secrets.stored, pin: Number(secrets.pin) }, 'the plugin itself had them, and its caller gets them');
  const failure = await harness.call('tool', 'fail').catch((error: unknown) => asHostError(error));
  await harness.call('tool', 'crash').catch(() => {});

  const { origin, hash } = new URL(inspector.url);
  const opened = await fetch(`${origin}/session`, { method: 'POST', headers: { origin }, body: JSON.stringify({ token: hash.slice(1) }) });
  const cookie = opened.headers.get('set-cookie')?.split(';')[0] ?? '';
  const buckets = await (await fetch(`${origin}/kv`, { headers: { cookie } })).text();
  const stream = await fetch(`${origin}/events`, { headers: { cookie } });
  const page: string[] = [];
  const reading = (async () => {
    for await (const chunk of stream.body ?? []) page.push(Buffer.from(chunk as Uint8Array).toString());
  })();
  await harness.stop();
  await inspector.close();
  await reading.catch(() => {});
  recorder.close();

  t.match(buckets, 'seen');
  t.match(page.join(''), 'tool.leak');
  const clean = harness.clean(asHostError(failure));
  const places = {
    record: readFileSync(file, 'utf8'),
    events: events.map((event) => JSON.stringify(event)).join('\n'),
    buckets,
    page: page.join(''),
    failure: JSON.stringify([clean.message, clean.details]),
  };
  for (const [place, text] of Object.entries(places)) {
    for (const [name, secret] of Object.entries(secrets)) t.notMatch(text, secret, `${name} in ${place}`);
    t.notMatch(text, encodeURIComponent(secrets.setting));
    for (const [inner] of text.matchAll(/[A-Za-z0-9+/]{12,}={0,2}/g))
      t.notMatch(Buffer.from(inner, 'base64').toString('latin1'), 's3cr3t', place);
  }
});
