import t from 'tap';
import { samplePlugin, sha } from './fake-supervisor.ts';
import { startApp } from './start-app.ts';

t.test('given plugins, when they are listed in brief, then with the fields of the public server', async (t) => {
  const app = await startApp(t);
  const { body } = await app.ask('GET', '/api/plugins');
  t.same(Object.keys((body as object[])[0] ?? {}), ['id', 'name', 'type', 'version', 'publisher', 'capabilities', 'status', 'active']);
});

t.test('given a plugin, when it is shown, then with what its manifest declares; an unknown one is 404', async (t) => {
  const app = await startApp(t);
  t.match(await app.ask('GET', '/api/plugins/example.hello'), {
    status: 200,
    body: { engine: 'node', egress: ['api.example.com:443'], activated_at: null },
  });
  t.match(await app.ask('GET', '/api/plugins/example.nobody'), { status: 404, body: { code: 'not-found' } });
  t.match(await app.ask('GET', '/api/plugins/refused'), { status: 200, body: [{ folder: 'broken' }] });
});

t.test('given a call, when it is answered, then raw or null, and the supervisor knows who asked and under which request', async (t) => {
  const app = await startApp(t);
  const body = { id: 'example.hello', service: 'greeter', method: 'greet', payload: { name: 'Ada' } };
  const answer = await app.ask('POST', '/api/plugins/call', { body });
  t.match(answer, { status: 200, body: { echo: { name: 'Ada' } } });
  t.match(app.state.calls, [{ request: body, actor: { id: app.admin.id }, requestId: answer.headers['x-lattice-request-id'] }]);
  app.state.answerCall = async () => undefined;
  t.match(await app.ask('POST', '/api/plugins/example.hello/call', { body: { service: 'greeter', method: 'greet' } }), {
    status: 200,
    text: 'null',
  });
  t.match(app.state.calls[1], { request: { id: 'example.hello', payload: null } });
  app.state.answerCall = async () => 'text';
  t.match(await app.ask('POST', '/api/plugins/call', { body }), { headers: { 'content-type': /^application\/json/ }, text: '"text"' });
});

t.test('given a configuration, when it is put, then it is what is got', async (t) => {
  const app = await startApp(t);
  t.same((await app.ask('PUT', '/api/plugins/example.hello/config', { body: { colour: 'green' } })).body, { colour: 'green' });
  t.same((await app.ask('GET', '/api/plugins/example.hello/config')).body, { colour: 'green' });
  t.match(await app.ask('PUT', '/api/plugins/example.hello/config', { body: [1] }), { status: 400 });
});

t.test('given an upgrade on disk, when it is asked for with another digest, then 409; with its own, then it is taken', async (t) => {
  const app = await startApp(t);
  const upgrade = { bundle_sha256: sha('d'), version: '2.0.0', downgrade: false, capabilities_added: [], capabilities_removed: [] };
  app.plugins.set('example.hello', samplePlugin('example.hello', { status: 'installed', upgrade }));
  const path = '/api/plugins/example.hello/upgrade';
  t.match(await app.ask('POST', path, { body: { bundle_sha256: sha('e') } }), { status: 409, body: { code: 'changed-since-shown' } });
  t.match(await app.ask('POST', path, { body: { bundle_sha256: sha('d') } }), { status: 200, body: { version: '2.0.0' } });
  t.match(await app.ask('POST', path), { status: 409, body: { code: 'conflict' } });
});

t.test('given requests that may come without a body, when they come with an empty object or none, then both are fine', async (t) => {
  const app = await startApp(t);
  for (const path of ['/api/plugins/rescan', '/api/plugins/example.hello/reset']) {
    t.equal((await app.ask('POST', path)).status, 200);
    t.equal((await app.ask('POST', path, { body: {} })).status, 200);
  }
  t.match(await app.ask('DELETE', '/api/kv/default/colour', { body: {} }), { status: 400, body: { detail: /no body/ } });
});
