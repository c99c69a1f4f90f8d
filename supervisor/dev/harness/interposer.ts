import { PassThrough, Transform } from 'node:stream';
import { wireLimits } from '../../../protocol/version.ts';
import type { Clock } from '../../clock.ts';
import type { ChildWire } from '../../runner.ts';

export type Direction = 'in' | 'out'; // as the supervisor sees it: from the child, to the child
/** What becomes of one line: what goes on in its place, what goes back to its sender, when, and whether the child is killed instead. */
export type Fate = { forward?: readonly (string | Buffer)[]; reply?: string; delayMs?: number; kill?: boolean };
export type Interposer = {
  onLine(direction: Direction, line: string): void;
  /** Null: it goes on as it is. Left out: bytes are passed on as they come, and nothing is changed. */
  decide?: (direction: Direction, line: string) => Fate | null;
  clock: Clock;
};

const LF = 0x0a;
const heldMost = wireLimits.lineBytes + 1; // a longer line is a violation, which must reach who judges it

/** Stands between the two ends of one child: sees each line both ways, and may change its fate. */
export function interpose(wire: ChildWire, { onLine, decide, clock }: Interposer): Pick<ChildWire, 'input' | 'output'> {
  const ends: Record<Direction, (bytes: string | Buffer) => void> = {
    in: (bytes) => void (input.writableEnded || input.push(bytes)),
    out: (bytes) => void (wire.output.writable && wire.output.write(bytes)),
  };

  function deliver(direction: Direction, line: Buffer): void {
    const text = line.toString('utf8', 0, line.length - 1);
    onLine(direction, text);
    const fate = decide?.(direction, text) ?? null;
    if (fate === null) return ends[direction](line);
    const act = () => {
      if (fate.kill) wire.kill();
      for (const bytes of fate.forward ?? []) ends[direction](bytes);
      if (fate.reply !== undefined) ends[direction === 'in' ? 'out' : 'in'](`${fate.reply}\n`);
    };
    if (fate.delayMs === undefined) act();
    else clock.timer(fate.delayMs, act);
  }

  const createCut = (direction: Direction) => cutLines((line) => deliver(direction, line), ends[direction]);
  const fromChild = createCut('in');
  const toChild = createCut('out');
  const input: Transform = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      fromChild.push(chunk);
      done();
    },
    flush(done) {
      fromChild.end();
      done();
    },
  });
  const output = new PassThrough();
  output.on('data', (chunk: Buffer) => toChild.push(chunk));
  wire.output.on('error', () => {}); // a broken pipe shows as the child's exit
  wire.output.on('drain', () => output.resume());
  output.on('data', () => void (wire.output.writableNeedDrain && output.pause()));
  output.on('end', () => wire.output.end());
  wire.input.on('error', () => input.end());
  wire.input.pipe(input);
  return { input, output };
}

/** Whole lines, with their line feed; what is too long or does not end goes on in pieces. */
function cutLines(onLine: (line: Buffer) => void, passOn: (bytes: Buffer) => void) {
  let held: Buffer[] = [];
  let heldBytes = 0;
  const takeHeld = (): Buffer => {
    const all = Buffer.concat(held, heldBytes);
    held = [];
    heldBytes = 0;
    return all;
  };
  return {
    push(chunk: Buffer): void {
      for (let from = 0; from < chunk.length; ) {
        const end = chunk.indexOf(LF, from);
        const part = chunk.subarray(from, end === -1 ? chunk.length : end + 1);
        held.push(part);
        heldBytes += part.length;
        from += part.length;
        if (end !== -1) onLine(takeHeld());
        else if (heldBytes > heldMost) passOn(takeHeld());
      }
    },
    end(): void {
      if (heldBytes > 0) passOn(takeHeld());
    },
  };
}
