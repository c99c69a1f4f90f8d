import { exitCodes } from '../protocol/exit-codes.ts';
import { createPeer } from '../protocol/peer.ts';
import { createServer } from './serve.ts';
import { claimStdio } from './stdio.ts';

const { input, output } = claimStdio();

const say = (error: unknown) => process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);

/** Ends the process when what was written has left it, so that the last words are not lost. */
const exitWith = (code: number) => process.stderr.write('', () => output.write('', () => process.exit(code)));

const serve = createServer({
  importArtifact: () => import('lattice:artifact'), // resolved by the bootstrap to the bytes it checked
  request: (method, params, options) => peer.request(method, params, options),
  fail(error) {
    say(error);
    setImmediate(exitWith, exitCodes.loadFailed); // after the answer to initialize
  },
  report: say,
});

const peer = createPeer({
  input,
  output,
  timers: {
    monotonicMs: () => performance.now(),
    timer(delayMs, run) {
      const handle = setTimeout(run, delayMs);
      return { cancel: () => clearTimeout(handle) };
    },
  },
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
