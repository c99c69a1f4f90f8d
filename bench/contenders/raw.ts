import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createMinimalPeer, speakLines } from '../children/lines.js';
import { answerGet, type Contender, type Driven, type Session } from './contender.ts';

export const childFile = (name: string): string => fileURLToPath(new URL(`../children/${name}`, import.meta.url));

const answer = async (_method: string, params: unknown) => answerGet(params);

function sessionOf(peer: ReturnType<typeof createMinimalPeer>, end: () => Promise<void>): Session {
  return {
    run: async (order) => (await peer.request('run', { payload: order })) as Driven, // what drive.js returns
    echo: (payload) => peer.request('invoke', { payload }),
    cpuOfChild: async () => (await peer.request('cpu', {})) as { user: number; system: number },
    close: end,
  };
}

/** What every ratio is against. */
export const rawLines: Contender = {
  name: 'raw NDJSON',
  async open() {
    const child = spawn(process.execPath, [childFile('raw-child.js')], { stdio: ['pipe', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    const peer = createMinimalPeer(answer);
    peer.sendWith(speakLines(child.stdout, child.stdin, peer.receive));
    return sessionOf(peer, async () => {
      child.kill('SIGKILL');
      await exited;
    });
  },
};

export const forkIpc = (serialization: 'json' | 'advanced'): Contender => ({
  name: `fork IPC, ${serialization}`,
  async open() {
    const child = fork(childFile('fork-child.js'), { serialization, execArgv: [] });
    const exited = once(child, 'exit');
    const peer = createMinimalPeer(answer);
    peer.sendWith((message) => void child.send(message as object));
    child.on('message', peer.receive);
    return sessionOf(peer, async () => {
      child.kill('SIGKILL');
      await exited;
    });
  },
});
