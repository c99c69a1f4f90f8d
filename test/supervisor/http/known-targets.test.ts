import t from 'tap';
import { createKnownTargets } from '../../../supervisor/http/known-targets.ts';
import type { Route } from '../../../supervisor/http/route.ts';
import { startApp } from './start-app.ts';

const one = '/api/plugins/example.hello';
const calling = { service: 'greeter', method: 'greet' };

t.test('given more targets than are kept, when one more is, then the oldest is gone', async (t) => {
  const known = createKnownTargets();
  const target = { route: {} as Route, params: {}, read: null }; // nothing looks into it here
  for (let n = 0; n < 1024; n++) known.keep('GET', `/${n}`, target);
  t.equal(known.find('GET', '/0'), target);
  known.keep('GET', '/1024', target);
  t.equal(known.find('GET', '/0'), undefined);
  t.equal(known.find('GET', '/1'), target);
  t.equal(known.find('POST', '/1'), undefined, 'the method is part of it');
  known.keep('GET', `/${'x'.repeat(256)}`, target);
  t.equal(known.find('GET', `/${'x'.repeat(256)}`), undefined, 'a long one is never kept');
});

t.test('given a target that was asked for before, when others ask, then who may is judged for each', async (t) => {
  const app = await startApp(t);
  const reader = await app.makeToken(['audit:read']);
  const own = await app.makeToken(['plugin:call'], 'example.other');
  for (let time = 0; time < 2; time++) t.match(await app.ask('POST', `${one}/call`, { body: calling }), { status: 200 });

  t.match(await app.ask('POST', `${one}/call`, { body: calling, token: null }), { status: 401 });
  t.match(await app.ask('POST', `${one}/call`, { body: calling, token: reader.token }), { status: 403, body: { rule: 'scope-missing' } });
  const other = await app.ask('POST', `${one}/call`, { body: calling, token: own.token });
  t.match(other, { status: 403, body: { rule: 'token-of-one-plugin' } });
  t.match(await app.ask('GET', `${one}/call`), { status: 405, body: { allowed: 'POST' } });
  t.match(await app.ask('POST', `${one}/call?a=b`, { body: calling }), { status: 400, body: { code: 'invalid-params' } });
  t.match(await app.ask('POST', `${one}/call`, { body: { ...calling, more: 1 } }), { status: 400, body: { code: 'invalid-params' } });
});

t.test('given a target that nobody may ask for, when it is asked for again, then it is refused as the first time', async (t) => {
  const app = await startApp(t);
  for (let time = 0; time < 3; time++) {
    t.match(await app.ask('GET', one, { token: null }), { status: 401 });
    t.match(await app.ask('GET', '/api/plugins/%20'), { status: 400, body: { code: 'invalid-params', pointer: '/id' } });
    t.match(await app.ask('GET', '/api/plugins/rescan'), { status: 405, body: { allowed: 'POST' } }, 'a fixed word is no id');
  }
});

t.test('given a target that is known, when it is asked for with HEAD or with a query, then the answer is of that request', async (t) => {
  const app = await startApp(t);
  const first = await app.ask('GET', '/api/audit');
  for (let time = 0; time < 2; time++) {
    t.match(await app.ask('HEAD', one), { status: 200, text: '', headers: { 'content-length': /^[1-9]/ } });
    t.match(await app.ask('GET', one), { status: 200, text: /example.hello/ });
  }
  t.match(first, { status: 200 });
  t.match(await app.ask('GET', '/api/audit?limit=nothing'), { status: 400, body: { pointer: '/limit' } });
  t.match(await app.ask('GET', '/api/audit'), { status: 200 });
});
