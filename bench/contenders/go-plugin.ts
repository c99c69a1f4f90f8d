import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { tell } from '../progress.ts';
import type { Contender, Driven } from './contender.ts';

const script = fileURLToPath(new URL('../go-plugin/build.sh', import.meta.url));
const cannot = () => Promise.reject(new Error('go-plugin only calls its plugin here'));

/** HashiCorp's, over gRPC, both ends in Go; null where Debian's packages cannot build it, which is said. */
export const goPlugin: Contender = {
  name: 'go-plugin (gRPC)',
  async open() {
    const folder = mkdtempSync(join(tmpdir(), 'lattice-go-'));
    const file = join(folder, 'contender');
    try {
      tell('building go-plugin');
      execFileSync(script, [file], { env: { PATH: process.env.PATH, HOME: folder }, stdio: ['ignore', 'inherit', 'inherit'] });
      return await openGo(folder, file);
    } catch {
      rmSync(folder, { recursive: true, force: true });
      return null;
    }
  },
};

async function openGo(folder: string, file: string) {
  const child = spawn(file, [], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    run: cannot,
    echo: cannot,
    cpuOfChild: async () => ({ user: Number.NaN, system: Number.NaN }),
    async driveEcho(bytes: number, count: number, inFlight: number): Promise<Driven> {
      child.stdin.write(`${JSON.stringify({ bytes, count, inFlight })}\n`);
      const { value } = await answers.next();
      return { ...(JSON.parse(String(value)) as Driven), cpuUs: Number.NaN }; // what main.go prints
    },
    async close() {
      child.stdin.end();
      await exited;
      execFileSync('chmod', ['-R', 'u+w', folder]); // Go's cache is read-only
      rmSync(folder, { recursive: true });
    },
  };
}
