import t from 'tap';
import { HostError } from '../../../protocol/errors.ts';
import { sha } from './fake-supervisor.ts';
import { startApp } from './start-app.ts';

const lifecycle = '/api/plugins/lifecycle';

t.test(
  'given plugins, when the lifecycle list is asked, then a bare array sorted by id, without times that have not happened',
  async (t) => {
    const app = await startApp(t);
    const { body } = await app.ask('GET', lifecycle);
    t.match(body, [
      { id: 'example.hello', status: 'verified', available: true, bundle_sha256: sha('b'), verified_at: /^2026/ },
      { id: 'example.world', available: false },
    ]);
    const [first] = body as Record<string, unknown>[];
    for (const name of ['activated_at', 'disabled_at', 'installed_at', 'runtime']) t.notOk(name in Object(first), name);
  },
);

t.test('given an id and a status with spaces around, when they are posted, then they are trimmed and one object is answered', async (t) => {
  const app = await startApp(t);
  const answer = await app.ask('POST', lifecycle, { body: { id: ' example.hello\n', status: ' installed ' } });
  t.match(answer, { status: 200, body: { id: 'example.hello', status: 'installed', runtime: { state: 'stopped', sandbox: null } } });
  t.notOk('stopped_at' in Object(answer.body).runtime);
  t.match(app.actors, [{ id: app.admin.id, plugin: null }]);
});

const cases: [string, unknown, number, string][] = [
  ['an unknown status', { id: 'example.hello', status: 'running' }, 400, 'invalid-params'],
  ['no status', { id: 'example.hello' }, 400, 'invalid-params'],
  ['no id', { status: 'active' }, 400, 'invalid-params'],
  ['an empty id', { id: '  ', status: 'active' }, 400, 'invalid-params'],
  ['an id that is a number', { id: 7, status: 'active' }, 400, 'invalid-params'],
  ['an unknown field', { id: 'example.hello', status: 'installed', force: true }, 400, 'invalid-params'],
  ['a digest that is none', { id: 'example.hello', status: 'installed', bundle_sha256: 'b' }, 400, 'invalid-params'],
  ['an unknown plugin', { id: 'example.nobody', status: 'active' }, 404, 'not-found'],
  ['an id of odd form', { id: '../../etc/passwd', status: 'active' }, 404, 'not-found'],
  ['a forbidden transition', { id: 'example.hello', status: 'active' }, 409, 'invalid-transition'],
  ['the status verified', { id: 'example.hello', status: 'verified' }, 409, 'invalid-transition'],
  ['another bundle than shown', { id: 'example.hello', status: 'installed', bundle_sha256: sha('c') }, 409, 'changed-since-shown'],
];
for (const [what, body, status, code] of cases) {
  t.test(`given ${what}, when it is posted, then ${status} ${code}`, async (t) => {
    const app = await startApp(t);
    t.match(await app.ask('POST', lifecycle, { body }), { status, body: { code, type: `/problems/${code}`, status } });
  });
}

t.test('given words of the supervisor, when they reach a client, then as the status and public code of the table', async (t) => {
  const app = await startApp(t);
  const words: [HostError['code'], number, string][] = [
    ['verification-failed', 422, 'internal_error'],
    ['unavailable', 503, 'internal_error'],
    ['sandbox-unavailable', 503, 'internal_error'],
    ['plugin-crashed', 502, 'bad_gateway'],
    ['deadline-exceeded', 504, 'bad_gateway'],
    ['capability-denied', 403, 'capability_denied'],
    ['conflict', 409, 'request_failed'],
    ['changed-since-shown', 409, 'bad_request'],
  ];
  for (const [code, status, publicCode] of words) {
    app.state.answerCall = async () => {
      throw new HostError(code, 'it is so', { hint: 'do this', status: 1, error: 'forged', request_id: 'forged' });
    };
    const answer = await app.ask('POST', '/api/plugins/call', { body: { id: 'example.hello', service: 's', method: 'm' } });
    t.match(
      answer,
      { status, body: { code, detail: 'it is so', hint: 'do this', status, error: { code: publicCode, message: 'it is so' } } },
      code,
    );
    t.equal(Object(answer.body).request_id, answer.headers['x-lattice-request-id'], 'details replace no name of the problem');
  }
});
