import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { createMessageConnection, StreamMessageReader, StreamMessageWriter } from 'vscode-jsonrpc/node';
import { z } from 'zod';
import { answerGet, type Contender, type Driven } from './contender.ts';
import { childFile } from './raw.ts';

type Cpu = { user: number; system: number };

function start(file: string) {
  const child = spawn(process.execPath, [childFile(file)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  return {
    child,
    async end(): Promise<void> {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

export const vscodeJsonrpc: Contender = {
  name: 'vscode-jsonrpc',
  async open() {
    const { child, end } = start('vscode-child.js');
    const connection = createMessageConnection(new StreamMessageReader(child.stdout), new StreamMessageWriter(child.stdin));
    connection.onRequest('kv.get', (params: unknown) => answerGet(params) ?? null);
    connection.listen();
    return {
      run: (order) => connection.sendRequest<Driven>('run', { payload: order }),
      echo: (payload) => connection.sendRequest('invoke', { payload }),
      cpuOfChild: () => connection.sendRequest<Cpu>('cpu', {}),
      async close() {
        connection.dispose();
        await end();
      },
    };
  },
};

const driven = z.custom<Driven>(() => true);
const noTimeout = { timeout: 600_000 };

/** The child is the client, because it asks; the roles of its transports do not differ. */
export const mcpSdk: Contender = {
  name: 'MCP TypeScript SDK',
  async open() {
    const { child, end } = start('mcp-child.js');
    const server = new Server({ name: 'parent', version: '1' }, { capabilities: {} });
    server.setRequestHandler(z.object({ method: z.literal('kv.get'), params: z.object({ key: z.string() }) }), ({ params }) => ({
      ...answerGet(params),
    }));
    child.stdin.setMaxListeners(0); // it adds one for each message that waits
    const initialized = new Promise<void>((resolve) => {
      server.oninitialized = resolve;
    });
    await server.connect(new StdioServerTransport(child.stdout, child.stdin));
    await initialized;
    return {
      run: (order) => server.request({ method: 'run', params: { payload: order } } as never, driven, noTimeout), // methods of our own are not in its union
      echo: (payload) => server.request({ method: 'invoke', params: { payload } } as never, z.any()),
      cpuOfChild: () =>
        server.request(
          { method: 'cpu' } as never,
          z.custom<Cpu>(() => true),
        ),
      async close() {
        await server.close();
        await end();
      },
    };
  },
};
