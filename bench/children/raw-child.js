import { drive } from './drive.js';
import { createMinimalPeer, speakLines } from './lines.js';

const peer = createMinimalPeer(async (method, { payload }) => {
  if (method === 'cpu') return process.cpuUsage();
  if (method !== 'run') return payload;
  return drive(() => peer.request('kv.get', { key: payload.key }), payload.count, payload.inFlight);
});
peer.sendWith(speakLines(process.stdin, process.stdout, peer.receive));
