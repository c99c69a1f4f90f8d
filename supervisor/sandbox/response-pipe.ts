import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, readSync, statSync } from 'node:fs';
import { HostError } from '../../protocol/errors.ts';

/** The two ends of one plain pipe, as descriptors of this process that no child inherits unless it is handed one. */
export type Pipe = { readEnd: number; writeEnd: number };
export type PipeMaker = {
  /** One that nobody has had before. The taker closes both ends. */
  take(): Promise<Pipe>;
  close(): void;
};

/**
 * What a shell keeps a short here-document in is a pipe; it says so and waits. Node itself can only make sockets, which a plugin could write to
 * and send descriptors through.
 */
const holdPipe = 'exec 3<<E\n\nE\necho; read -r _';

/** Both ends are opened anew, so that the plugin's cannot be written to, and the byte of the here-document is taken out. */
async function makePipe(shell: string): Promise<Pipe> {
  const holder = spawn(shell, ['-c', holdPipe], { env: {}, cwd: '/', stdio: ['pipe', 'pipe', 'ignore'] });
  const opened: number[] = [];
  try {
    const ended = once(holder, 'exit').then(() => Promise.reject(new Error('the shell ended')));
    ended.catch(() => {}); // when it comes after the word that was waited for
    await Promise.race([once(holder.stdout, 'data'), ended]);
    const path = `/proc/${holder.pid}/fd/3`;
    if (!statSync(path).isFIFO()) throw new Error('the shell keeps a here-document in a file');
    const open = (flags: number) => opened[opened.push(openSync(path, flags)) - 1] ?? -1;
    const pipe = { writeEnd: open(constants.O_WRONLY | constants.O_NONBLOCK), readEnd: open(constants.O_RDONLY) };
    readSync(pipe.readEnd, Buffer.alloc(1));
    return pipe;
  } catch (cause) {
    for (const fd of opened) closeSync(fd);
    throw new HostError(
      'sandbox-unavailable',
      'no pipe could be made for the answers to a plugin',
      { hint: 'install dash as /bin/sh, and give the service a readable /proc' },
      { cause },
    );
  } finally {
    holder.stdin.destroy();
    holder.kill('SIGKILL');
  }
}

/** Keeps one pipe made in advance, so that an action need not wait for the shell. */
export function createPipeMaker(findShell: () => string | null): PipeMaker {
  let spare: Promise<Pipe> | null = null;
  let closed = false;
  async function make(): Promise<Pipe> {
    const shell = findShell();
    if (shell === null) throw new HostError('sandbox-unavailable', 'no trusted shell was found', { hint: 'apt-get install dash' });
    return makePipe(shell);
  }

  function prepare(): void {
    if (closed) return;
    spare = make();
    spare.catch(() => {}); // whoever takes it tries again
  }
  return {
    take(): Promise<Pipe> {
      const taken = spare === null ? make() : spare.catch(make);
      prepare();
      return taken;
    },
    close(): void {
      closed = true;
      void spare?.then(closePipe, () => {});
      spare = null;
    },
  };
}

export function closePipe({ readEnd, writeEnd }: Pipe): void {
  closeSync(readEnd);
  closeSync(writeEnd);
}
