import { receiveArtifact } from 'lattice:boot';
import type { Timers } from '../protocol/deadlines.ts';
import { exitCodes } from '../protocol/exit-codes.ts';
import { createPeer } from '../protocol/peer.ts';
import { createServer } from './serve.ts';
import { claimStdio } from './stdio.ts';

const { input, output } = claimStdio();

/** With the causes, and without node:util, which costs each child memory. */
const describe = (error: unknown, causes = 4): string =>
  error instanceof Error
    ? `${error.stack ?? error.message}${error.cause === undefined || causes === 0 ? '' : `\ncaused by ${describe(error.cause, causes - 1)}`}`
    : String(error);
const say = (error: unknown) => process.stderr.write(`${describe(error).slice(0, 16_384)}\n`);

/** Ends the process when what was written has left it, so that the last words are not lost. */
const exitWith = (code: number) => process.stderr.write('', () => output.write('', () => process.exit(code)));

const timers: Timers = {
  monotonicMs: () => process.uptime() * 1000, // the same clock as performance.now, which would load ten modules of Node in each child
  timer(delayMs, run) {
    const handle = setTimeout(run, delayMs);
    return { cancel: () => clearTimeout(handle), rest: () => void handle.unref(), wake: () => void handle.ref() };
  },
};

const serve = createServer({
  importArtifact: () => import('lattice:artifact'), // resolved by the bootstrap to the bytes it checked
  request: (method, params, options) => peer.request(method, params, options),
  timers,
  afterAnswer: (run) => void setImmediate(run),
  fail(error, why) {
    say(error);
    setImmediate(exitWith, exitCodes[why]); // after the answer to initialize
  },
  report: say,
});

const peer = createPeer({
  input,
  output,
  timers,
  handle: serve,
  child: true,
  onStray: () => {},
  onViolation(rule, detail) {
    say(`the supervisor broke the protocol: ${rule}: ${detail}`);
    process.exit(1);
  },
  onEnd: () => process.exit(0), // the supervisor closed our input, or is gone
});

process.on('SIGTERM', () => exitWith(0));
process.on('uncaughtException', (error) => {
  say(error);
  exitWith(1);
});

// Everything is loaded. A child that was made in advance waits here, and no message is read before its one artifact has come.
receiveArtifact();
