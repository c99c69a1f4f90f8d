import { createMessageConnection, StreamMessageReader, StreamMessageWriter } from 'vscode-jsonrpc/node';
import { drive } from './drive.js';

const connection = createMessageConnection(new StreamMessageReader(process.stdin), new StreamMessageWriter(process.stdout));
connection.onRequest('invoke', ({ payload }) => payload);
connection.onRequest('cpu', () => process.cpuUsage());
connection.onRequest('run', ({ payload: { key, count, inFlight } }) =>
  drive(() => connection.sendRequest('kv.get', { key }), count, inFlight),
);
connection.listen();
