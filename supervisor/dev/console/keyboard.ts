import { createInterface } from 'node:readline';

export type Keyboard = { close(): void };
export type Ask = (question: string, proposal: string) => Promise<string | null>;

/** Single keys of a terminal; Ctrl-C and Ctrl-D are `q`. While something is asked, keys go to the answer. */
export function readKeys(
  terminal: { stdin: NodeJS.ReadStream; stdout: NodeJS.WriteStream },
  onKey: (key: string, ask: Ask) => Promise<void>,
): Keyboard {
  const { stdin, stdout } = terminal;
  let busy = false;
  let closed = false;

  const ask: Ask = (question, proposal) =>
    new Promise((resolve) => {
      stdin.off('data', onData);
      const history = proposal === '' ? [] : [proposal]; // the arrow up brings it, to be changed
      const line = createInterface({ input: stdin, output: stdout, terminal: true, history });
      const end = (answer: string | null) => {
        line.close();
        if (!closed) listen();
        resolve(answer);
      };
      line.once('SIGINT', () => end(null));
      line.question(question, (answer) => end(answer.trim() || proposal));
    });

  const onData = (chunk: Buffer): void => {
    for (const key of chunk.toString('utf8')) {
      const name = key === '\u0003' || key === '\u0004' ? 'q' : key;
      if (busy && name !== 'q' && name !== 'p') continue;
      const wasBusy = busy;
      busy = true;
      void onKey(name, ask).finally(() => {
        busy = wasBusy;
      });
    }
  };

  function listen(): void {
    stdin.setRawMode(true);
    stdin.resume();
    stdin.on('data', onData);
  }

  listen();
  return {
    close() {
      closed = true;
      stdin.off('data', onData);
      stdin.setRawMode(false);
      stdin.pause();
    },
  };
}

/** Without a terminal: one command a line. Its end ends nothing. */
export function readLines(stdin: NodeJS.ReadStream, onLine: (line: string) => void): Keyboard {
  const lines = createInterface({ input: stdin, terminal: false });
  lines.on('line', onLine);
  return {
    close() {
      lines.close();
      stdin.pause();
    },
  };
}
