import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { z } from 'zod';
import { drive } from './drive.js';

process.stdout.setMaxListeners(0); // the SDK adds one for each message that waits
const any = z.any();
const client = new Client({ name: 'child', version: '1' }, { capabilities: {} });
const params = z.object({ payload: any });
client.setRequestHandler(z.object({ method: z.literal('invoke'), params }), ({ params: { payload } }) => ({ payload }));
client.setRequestHandler(z.object({ method: z.literal('cpu') }), () => process.cpuUsage());
client.setRequestHandler(z.object({ method: z.literal('run'), params }), ({ params: { payload } }) =>
  drive(() => client.request({ method: 'kv.get', params: { key: payload.key } }, any), payload.count, payload.inFlight),
);
await client.connect(new StdioServerTransport());
