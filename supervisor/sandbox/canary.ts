/** What the canary is told; it stands in for a plugin's artifact, and goes the way of one: by a pipe that nobody else can read. */
export type CanaryFacts = {
  port: number; // something on loopback that answers
  /** Says that it was the canary which came: everybody on the host can find the port. */
  nonce: string;
  supervisorPid: number;
  readable: string; // a file of the host that everybody may read
  writable: string; // and one that the canary's user may write
  program: string; // a program that exists where the canary runs
};

/** What each attempt would break. The outcome is `escaped`, or the code of the error that stopped it. */
export const attempts = {
  'reach-loopback': 'network',
  'read-host-file': 'files of the host',
  'write-host-file': 'files of the host',
  'read-proc': 'processes of the host',
  'signal-supervisor': 'processes of the host',
  'start-program': 'other programs',
  'hoard-descriptors': 'limits',
} as const;
export type Attempt = keyof typeof attempts;
export type Outcomes = Record<Attempt, string>;

/**
 * Errors that a cage, or the kernel below it, gives for good. Any other, such as no answer in time or no descriptor left on the host, may be
 * somebody's doing at that moment and proves nothing about the cage.
 */
const refusals: ReadonlySet<string> = new Set([
  ...['ERR_ACCESS_DENIED', 'EACCES', 'EPERM', 'EROFS', 'ENOENT', 'ENOTDIR', 'ENOSYS', 'ESRCH', 'not-tried'],
  ...['EAFNOSUPPORT', 'EPROTONOSUPPORT', 'EOPNOTSUPP', 'ENETUNREACH', 'ENETDOWN', 'EHOSTUNREACH', 'ECONNREFUSED'],
  ...['EINVAL', 'ENODEV', 'ENXIO', 'ELOOP'],
]);
export const isRefusal = (outcome: string): boolean => refusals.has(outcome);
/** These stop a connection before a packet leaves: whether anybody would have answered does not matter. */
const beforeAnyPacket: ReadonlySet<string> = new Set(['ERR_ACCESS_DENIED', 'EAFNOSUPPORT', 'EPROTONOSUPPORT']);
export const isRefusedBeforeAnyPacket = (outcome: string): boolean => beforeAnyPacket.has(outcome);

const answerMs = 2_000; // on loopback: who fills the queue of the listener keeps a connection waiting

/** Runs in the runner's place, under the real recipe; says on stdout how each attempt ended, and stays until its stdin is closed. */
const text = `
import facts from 'lattice:artifact';
import { spawnSync } from 'node:child_process';
import { openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { connect } from 'node:net';

const attacks = {
  'reach-loopback': () => new Promise((resolve, reject) => {
    const socket = connect(facts.port, '127.0.0.1', () => { socket.end(facts.nonce); resolve(); });
    socket.on('error', reject);
    setTimeout(() => reject({ code: 'no-answer' }), ${answerMs});
  }),
  'read-host-file': () => readFileSync(facts.readable),
  'write-host-file': () => writeFileSync(facts.writable, facts.nonce),
  'read-proc': () => readFileSync('/proc/self/status'), // its own: a host may hide those of others, sandbox or none
  'signal-supervisor': () => {
    // In a namespace of its own the canary has neighbours with numbers this small, which it may signal.
    if (facts.supervisorPid < 16) throw { code: 'not-tried' };
    process.kill(facts.supervisorPid, 0);
  },
  'start-program': () => { const { error } = spawnSync(facts.program, ['--version']); if (error) throw error; },
  'hoard-descriptors': () => { for (let count = 0; count < 100; count++) openSync('/tmp/' + count, 'w'); },
};
const outcomes = {};
for (const [name, attack] of Object.entries(attacks)) {
  try { await attack(); outcomes[name] = 'escaped'; } catch (error) { outcomes[name] = String(error.code ?? error.name); }
}
writeSync(1, JSON.stringify(outcomes) + '\\n');
process.stdin.on('end', () => process.exit(0)).resume();
`;

export const buildCanary = (facts: CanaryFacts): { runner: Buffer; artifact: Buffer } => ({
  runner: Buffer.from(text),
  artifact: Buffer.from(`export default ${JSON.stringify(facts)};`),
});

/** Reads the canary's line; undefined unless every attempt has an outcome: what was not tried has not been stopped. */
export function parseOutcomes(line: string): Outcomes | undefined {
  try {
    const said: unknown = JSON.parse(line);
    if (typeof said !== 'object' || said === null) return undefined;
    const rows = new Map(Object.entries(said));
    return Object.keys(attempts).every((name) => typeof rows.get(name) === 'string') ? (said as Outcomes) : undefined; // just checked
  } catch {
    return undefined;
  }
}
