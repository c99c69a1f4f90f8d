// The least that Koa can answer: one route, the same bytes each time.
import Router from '@koa/router';
import Koa from 'koa';

const router = new Router();
router.post('/call', (ctx) => {
  ctx.type = 'application/json';
  ctx.body = process.argv[2];
});
const server = new Koa().use(router.routes()).listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`));
