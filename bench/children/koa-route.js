// The least that Koa can answer: one route, the same bytes each time, whatever it was sent.
import Router from '@koa/router';
import Koa from 'koa';
import getRawBody from 'raw-body';

const router = new Router();
router.post('/call', (ctx) => {
  ctx.type = 'application/json';
  ctx.body = process.argv[2];
});
// What any service does that is called: the body is read and parsed.
router.post('/read', async (ctx) => {
  const { payload } = JSON.parse(String(await getRawBody(ctx.req)));
  ctx.type = 'application/json';
  ctx.body = JSON.stringify(payload);
});
const server = new Koa().use(router.routes()).listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`));
