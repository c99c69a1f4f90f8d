import t from 'tap';
import { eventually } from '../support/eventually.ts';
import { readChild } from '../support/sign-bundle.ts';
import { createHome, startService, type TestService } from '../support/start-service.ts';

const id = 'test.tool';
const home = createHome(t);
home.place({ id, source: readChild('tool.js'), capabilities: ['kv:write'], services: { tool: ['hang'] } });

type Asked = readonly [key: string, method: string, path: string, body: unknown];

async function send(service: TestService, [key, method, path, body]: Asked) {
  const response = await fetch(`${service.url}${path}`, {
    method,
    headers: { Authorization: `Bearer ${home.token()}`, 'Content-Type': 'application/json', 'Idempotency-Key': `"${key}"` },
    body: JSON.stringify(body),
  });
  return { status: response.status, replayed: response.headers.get('Idempotent-Replayed'), text: await response.text() };
}

t.test(
  'given answered changes and a call under way, when the service is killed and they are sent again, then nothing is done twice',
  async (t) => {
    const asked = [
      ['k-1', 'PUT', '/api/kv/shared/colour', { value: 'green' }],
      ['k-2', 'POST', '/api/plugins/lifecycle', { id, status: 'installed' }],
      ['k-3', 'PUT', `/api/plugins/${id}/config`, { colour: 'green' }],
      ['k-4', 'POST', '/api/plugins/lifecycle', { id, status: 'active' }],
    ] as const;
    const hang = ['k-5', 'POST', `/api/plugins/${id}/call`, { service: 'tool', method: 'hang' }] as const;
    const service = await startService(home);
    const first = [];
    for (const request of asked) first.push(await send(service, request));
    t.same(
      first.map(({ status }) => status),
      [200, 200, 200, 200],
    );
    const lost = send(service, hang).catch(() => null);
    await eventually(async () => (await service.logText(id)).includes('hanging'));
    service.signal('SIGKILL');
    await service.exited;
    t.equal(await lost, null);

    const next = await startService(home);
    const again = [];
    for (const request of asked) again.push(await send(next, request));

    t.same(
      again,
      first.map((answer) => ({ ...answer, replayed: 'true' })),
    );
    const { status, text } = await send(next, hang);
    t.match({ status, ...JSON.parse(text) }, { status: 409, rule: 'outcome-unknown' });
    t.match((await next.api('GET', '/api/kv/shared/colour')).body, { revision: 1 });
    const { body } = await next.api('GET', `/api/audit?kind=plugin.status&plugin=${id}`);
    t.equal((body.rows as unknown[]).length, 3);
  },
);
