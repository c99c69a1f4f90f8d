import t from 'tap';
import { HostError } from '../../../protocol/errors.ts';
import { samplePlugin, sampleUpgrade, sha } from './fake-supervisor.ts';
import { startApp } from './start-app.ts';

t.test('given plugins, when they are listed in brief, then with the fields of the public server', async (t) => {
  const app = await startApp(t);
  const { body } = await app.ask('GET', '/api/plugins');
  const public8 = ['id', 'name', 'type', 'version', 'publisher', 'capabilities', 'status', 'active'];
  t.same(Object.keys((body as object[])[0] ?? {}).slice(0, 8), public8);
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

const accept = { accept: 'text/event-stream' };
const called = { id: 'example.hello', service: 'greeter', method: 'greet' };
/** Name and data of each event; comments and ids left out. */
const eventsOf = (text: string) =>
  [...text.matchAll(/^event:(.*)\n(?:id:.*\n)?data:(.*)$/gm)].map(([, event, data = '']) => [event, JSON.parse(data)]);

t.test('given a call that tells its progress, when events are accepted, then they come in order, and the result last', async (t) => {
  const app = await startApp(t);
  app.state.answerCall = async ({ onProgress }) => {
    onProgress?.({ done: 1 });
    onProgress?.({ done: 2 });
    return { all: true };
  };
  const answer = await app.ask('POST', '/api/plugins/call', { body: called, headers: accept });
  t.match(answer, { status: 200, headers: { 'content-type': /^text\/event-stream/ } });
  t.same(eventsOf(answer.text), [
    ['progress', { done: 1 }],
    ['progress', { done: 2 }],
    ['result', { all: true }],
  ]);
});

t.test(
  'given a call that fails, when events are accepted, then before the first progress it has a status, after it an event',
  async (t) => {
    const app = await startApp(t);
    app.state.answerCall = async () => Promise.reject(new HostError('conflict', 'changed'));
    t.match(await app.ask('POST', '/api/plugins/call', { body: called, headers: accept }), { status: 409, body: { code: 'conflict' } });
    app.state.answerCall = async ({ onProgress }) => {
      onProgress?.(1);
      throw new HostError('conflict', 'changed', { hint: 'read again' });
    };
    const answer = await app.ask('POST', '/api/plugins/call', { body: called, headers: accept });
    t.match(eventsOf(answer.text), [
      ['progress', 1],
      ['problem', { code: 'conflict', status: 409, hint: 'read again', request_id: answer.headers['x-lattice-request-id'] }],
    ]);
  },
);

t.test(
  'given a call that tells its progress, when the service stops, then it may still end, and else its last event says why',
  async (t) => {
    for (const ends of [true, false]) {
      const app = await startApp(t);
      const begun = Promise.withResolvers<void>();
      const end = Promise.withResolvers<unknown>();
      app.state.answerCall = async ({ onProgress }) => {
        onProgress?.(1);
        setImmediate(begun.resolve);
        return end.promise;
      };
      const asked = app.ask('POST', '/api/plugins/call', { body: called, headers: accept });
      await begun.promise;
      const stopped = app.server.stop(ends ? 60_000 : 0);
      if (ends) end.resolve('done');
      const answer = await asked;
      await stopped;
      t.match(eventsOf(answer.text), [
        ['progress', 1],
        ends ? ['result', 'done'] : ['problem', { code: 'unavailable', status: 503, hint: /may have happened/ }],
      ]);
      end.resolve(null);
    }
  },
);

t.test('given all event streams taken, when a call accepts events, then it is answered without them', async (t) => {
  const app = await startApp(t);
  const open = await Promise.all(
    Array.from({ length: 256 }, async () => {
      const socket = await app.dial();
      const head = new Promise((resolve) => socket.once('data', resolve));
      socket.write(
        `GET /api/plugins/example.hello/logs?follow=1 HTTP/1.1\r\nHost: ${new URL(app.url).host}\r\nAuthorization: Bearer ${app.admin.token}\r\n\r\n`,
      );
      await head;
      return socket;
    }),
  );
  app.state.answerCall = async ({ onProgress }) => {
    onProgress?.(1);
    return 'done';
  };
  t.match(await app.ask('POST', '/api/plugins/call', { body: called, headers: accept }), { status: 200, text: '"done"' });
  t.match(await app.ask('GET', '/api/plugins/example.hello/logs?follow=1'), { status: 429, body: { code: 'rate-limited' } });
  for (const socket of open) socket.destroy();
});

t.test('given a configuration, when it is put, then it is what is got', async (t) => {
  const app = await startApp(t);
  t.same((await app.ask('PUT', '/api/plugins/example.hello/config', { body: { colour: 'green' } })).body, { colour: 'green' });
  t.same((await app.ask('GET', '/api/plugins/example.hello/config')).body, { colour: 'green' });
  t.match(await app.ask('PUT', '/api/plugins/example.hello/config', { body: [1] }), { status: 400 });
});

t.test('given an upgrade on disk, when it is asked for with another digest, then 409; with its own, then it is taken', async (t) => {
  const app = await startApp(t);
  const upgrade = sampleUpgrade();
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

t.test('given a former version, when it is rolled back to with another digest, then 409; with its own, then it is taken', async (t) => {
  const app = await startApp(t);
  const rollback = sampleUpgrade({ version: '0.9.0' });
  app.plugins.set('example.hello', samplePlugin('example.hello', { status: 'active', rollback }));
  const path = '/api/plugins/example.hello/rollback';
  t.match(await app.ask('POST', path, { body: { bundle_sha256: sha('e') } }), { status: 409, body: { code: 'changed-since-shown' } });
  t.match(await app.ask('POST', path, { body: { bundle_sha256: sha('d') } }), { status: 200, body: { version: '0.9.0' } });
  t.match(await app.ask('POST', path), { status: 409 });
});

t.test('given an id, when it is given to a publisher, then one must be named', async (t) => {
  const app = await startApp(t);
  const path = '/api/plugins/example.hello/transfer';
  for (const body of [{}, { publisher: ' ' }, { publisher: 'acme.tools', force: true }])
    t.match(await app.ask('POST', path, { body }), { status: 400 });
  t.match(await app.ask('POST', path, { body: { publisher: ' acme.tools ' } }), { status: 200, body: { transferred_to: 'acme.tools' } });
});

t.test('given a token that may only look, when plugins are listed, then it sees how each is and what is offered', async (t) => {
  const app = await startApp(t);
  const refused = { folder: 'hello', id: 'example.world', code: 'digest-mismatch', detail: 'another artifact' };
  app.plugins.set('example.world', samplePlugin('example.world', { status: 'active', available: false, refused }));
  app.plugins.set('example.hello', samplePlugin('example.hello', { status: 'active', upgrade: sampleUpgrade() }));
  const { token } = await app.tokens.create({ name: 'viewer', scopes: ['audit:read'] }, null);
  t.match((await app.ask('GET', '/api/plugins', { token })).body, [
    { id: 'example.hello', active: true, upgrade: { version: '2.0.0', change: 'upgrade', risk: 'high' }, state: null },
    { id: 'example.world', available: false, refused: { code: 'digest-mismatch' } },
  ]);
  t.match(await app.ask('GET', '/api/plugins/lifecycle', { token }), { status: 403 });
});
