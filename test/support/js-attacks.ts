/**
 * A JS program that tries what a plugin could try, one line of JSON an attempt: its name and the code of the error, or `escaped`. The
 * launcher puts its own pid in the place of `SUPERVISOR`.
 */
export const jsAttacks = (facts: { port: number; hostFile: string }): string => `
import { spawnSync, fork } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { appendFileSync, openSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { setPriority } from 'node:os';
import { Worker } from 'node:worker_threads';

const facts = { ...${JSON.stringify(facts)}, supervisorPid: SUPERVISOR };
const connect = (target) => new Promise((resolve, reject) => createConnection(target, resolve).on('error', reject));
const missing = (name) => { if (process.getBuiltinModule(name) === undefined) throw Object.assign(new Error(), { code: 'NO_SUCH_MODULE' }); };
const attempts = {
  'read /etc/passwd': () => readFileSync('/etc/passwd'),
  'read a file of the host': () => readFileSync(facts.hostFile),
  'write a file of the host': () => appendFileSync(facts.hostFile, 'x'),
  'read the environment of the supervisor': () => readFileSync('/proc/' + facts.supervisorPid + '/environ'),
  'list the descriptors of the supervisor': () => readlinkSync('/proc/' + facts.supervisorPid + '/fd/0'),
  'follow a link out of tmp': () => { symlinkSync('/', '/tmp/out'); return readFileSync('/tmp/out/etc/passwd'); },
  'write beside tmp': () => writeFileSync('/dropped', 'x'),
  'change Node itself': () => writeFileSync('/rt/node', 'x'),
  'connect to loopback': () => connect({ host: '127.0.0.1', port: facts.port }),
  'connect to loopback over IPv6': () => connect({ host: '::1', port: facts.port }),
  'connect to an abstract socket': () => connect({ path: '\\0lattice-test' }),
  'listen on loopback': () => new Promise((resolve, reject) => createServer().on('error', reject).listen(0, '127.0.0.1', resolve)),
  'open a datagram socket': () => new Promise((resolve, reject) => createSocket('udp4').on('error', reject).bind(0, resolve)),
  'fetch': () => fetch('http://127.0.0.1:' + facts.port).catch((error) => { throw error.cause ?? error; }),
  'start a program': () => { const { error } = spawnSync('/rt/prlimit', ['--version']); if (error) throw error; },
  'start a shell': () => { const { error } = spawnSync('/bin/sh', ['-c', 'true']); if (error) throw error; },
  'load an addon': () => process.dlopen({ exports: {} }, '/tmp/addon.node'),
  'use node:sqlite': () => missing('node:sqlite'),
  'use node:ffi': () => missing('node:ffi'),
  'reach internal bindings': () => process.binding('process_wrap'),
  'open the inspector': async () => { const { open } = await import('node:inspector'); open(0, '127.0.0.1'); },
  'stop the supervisor': () => process.kill(facts.supervisorPid, 'SIGSTOP'),
  'signal everybody': () => process.kill(-1, 0),
  'slow the supervisor': () => setPriority(facts.supervisorPid, 19),
  'become root': () => process.setuid(0),
  'hoard descriptors': () => { for (let count = 0; count < 200; count++) openSync('/tmp/file' + count, 'w'); },
  'fill the disk': () => { for (let count = 0; count < 64; count++) appendFileSync('/tmp/big', Buffer.alloc(1 << 20)); },
};
for (const [name, attack] of Object.entries(attempts)) {
  let outcome = 'escaped';
  // Some refusals are thrown a tick later, out of reach of the call.
  const late = new Promise((_, reject) => { process.removeAllListeners('uncaughtException').once('uncaughtException', reject); });
  try { await Promise.race([attack(), late]); } catch (error) { outcome = String(error.info?.code ?? error.code ?? error.message); }
  console.log(JSON.stringify([name, outcome]));
}
console.log(JSON.stringify(['uid', String(process.getuid())]));
console.log(JSON.stringify(['memory', String(process.memoryUsage().heapUsed > 0)]));
console.log(JSON.stringify(['environment', Object.keys(process.env).sort().join()]));
console.log('"done"');
process.stdin.resume().on('end', () => process.exit(0));
`;
