import type { Readable } from 'node:stream';
import type { Timers } from './deadlines.ts';
import type { Framer, WholeFrame } from './framing.ts';
import { costs, type WorkMeter } from './work.ts';

type Deps = {
  input: Readable;
  framer: Framer;
  meter: WorkMeter;
  timers: Timers;
  receive(frame: WholeFrame): void;
  /** A chunk was taken in. */
  onChunk(): void;
  /** What is at hand was read, or this turn's share of it. */
  onRest(): void;
  onEnd(): void;
  /** The other end must first read what it was sent. */
  isHeld(): boolean;
};

/**
 * Reads one stream frame by frame. Where this turn's share is used up, the event loop turns to the others; where the share over time is, the
 * stream is not read for a while, and the other end waits in its write. Nothing is dropped.
 */
export function createReading({ input, framer, meter, timers, receive, onChunk, onRest, onEnd, isHeld }: Deps) {
  const pause = createPause({ input, meter, timers, go: proceed });
  let discarding = false;
  let atWork = false;

  function proceed(): void {
    if (atWork) return; // what is received may end what held it
    atWork = true;
    try {
      readFrames();
    } finally {
      atWork = false;
      onRest();
    }
  }

  function readFrames(): void {
    while (!pause.isWaiting()) {
      if (discarding) return pause.end();
      if (isHeld()) return pause.begin();
      if (meter.isTurnOver()) return pause.wait();
      const frame = framer.next();
      meter.spend(framer.takeWork());
      if (frame === null) return pause.end();
      if (frame.kind !== 'unfinished') receive(frame);
    }
  }

  input.on('data', (chunk: Buffer) => {
    if (discarding) return discard(chunk, meter, pause);
    framer.push(chunk);
    onChunk();
    proceed();
  });
  input.on('end', () => {
    const last = discarding ? null : framer.end();
    if (last) receive(last);
    onEnd();
  });
  input.on('error', () => {}); // a broken pipe shows as the child's exit, which says more

  return {
    /** Goes on with what is at hand, when what held it is over. */
    proceed,
    /** Whether `onRest` follows in this very turn. */
    isAtWork: () => atWork,
    /** What still comes is thrown away, so that the other end is not blocked in a write while it is stopped. */
    discard(): void {
      discarding = true;
      proceed();
    },
    withheldMs: pause.withheldMs,
  };
}

type Pieces = { push(chunk: Buffer): void; next(): number | null };

/** Reads a stream that is nobody's protocol, within the same share: `next` does a piece of what was pushed and says what it cost, null when all is done. */
export function readWithin(deps: { input: Readable; meter: WorkMeter; timers: Timers; pieces: Pieces }): void {
  const { input, meter, timers, pieces } = deps;
  const pause = createPause({ input, meter, timers, go: proceed });

  function proceed(): void {
    while (!pause.isWaiting()) {
      if (meter.isTurnOver()) return pause.wait();
      const work = pieces.next();
      if (work === null) return pause.end();
      meter.spend(work);
    }
  }

  input.on('data', (chunk: Buffer) => {
    pieces.push(chunk);
    meter.spend(costOfChunk(chunk));
    proceed();
  });
  input.on('error', () => {});
}

const costOfChunk = (chunk: Buffer): number => costs.chunk + chunk.length * costs.thrownByte;

type Pause = ReturnType<typeof createPause>;

function discard(chunk: Buffer, meter: WorkMeter, pause: Pause): void {
  meter.spend(costOfChunk(chunk));
  if (meter.isTurnOver()) pause.wait();
}

/** Stops a stream, and lets it go on in the next turn of the event loop or when there is something left to spend. */
function createPause({ input, meter, timers, go }: { input: Readable; meter: WorkMeter; timers: Timers; go(): void }) {
  let paused = false;
  let waiting = false;
  let withheldSince: number | null = null;
  let withheldMs = 0;

  function begin(): void {
    if (paused) return;
    paused = true;
    input.pause();
  }

  function goOn(): void {
    waiting = false;
    if (withheldSince !== null) withheldMs += timers.monotonicMs() - withheldSince;
    withheldSince = null;
    meter.beginTurn();
    go();
  }

  return {
    begin,
    wait(): void {
      begin();
      if (waiting) return;
      waiting = true;
      const waitMs = meter.waitMs();
      if (waitMs === 0) return void setImmediate(goOn);
      withheldSince = timers.monotonicMs();
      timers.timer(waitMs, goOn);
    },
    end(): void {
      if (!paused) return;
      paused = false;
      input.resume();
    },
    isWaiting: () => waiting,
    /** How long, all in all, there was nothing left to spend. */
    withheldMs: () => withheldMs + (withheldSince === null ? 0 : timers.monotonicMs() - withheldSince),
  };
}
