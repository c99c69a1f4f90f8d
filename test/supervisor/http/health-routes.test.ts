import t from 'tap';
import { startApp } from './start-app.ts';

t.test('given no token, when the probes are asked, then the status only, 503 while not ready', async (t) => {
  const app = await startApp(t);
  t.same((await app.ask('GET', '/healthz', { token: null })).body, { status: 'ok' });
  t.same((await app.ask('GET', '/readyz', { token: null })).body, { status: 'ready' });
  Object.assign(app.state.health, { ready: false, reasons: ['bundles are being scanned'] });
  t.match(await app.ask('GET', '/readyz', { token: null }), { status: 503, text: '{"status":"not-ready"}' });
  t.match(await app.ask('GET', '/readyz', { token: 'lat_wrong' }), { status: 503, text: '{"status":"not-ready"}' });
});

t.test('given any valid token, when readiness is asked, then with the reasons', async (t) => {
  const app = await startApp(t);
  const { token } = await app.makeToken(['plugin:call']);
  Object.assign(app.state.health, { ready: false, reasons: ['bundles are being scanned'] });
  t.match(await app.ask('GET', '/readyz', { token }), {
    status: 503,
    body: { status: 'not-ready', reasons: ['bundles are being scanned'], plugins: { active: 1 }, version: '0.0.0-test' },
  });
});

t.test('given an administrator, when the doctor is asked, then each layer of the sandbox is there with how to get it', async (t) => {
  const app = await startApp(t);
  t.match(await app.ask('GET', '/api/doctor'), {
    status: 200,
    body: { sandbox: { level: 'restricted', layers: [{ how_to_get: /bubblewrap/ }] } },
  });
});
