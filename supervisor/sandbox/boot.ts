import { hash } from 'node:crypto';

/** The descriptor on which a JS child finds its program. */
export const payloadFd = 3;
/** Exit codes of a child whose boot text gave up before any of our code or the plugin's ran. */
export const bootExitCodes = { damagedPayload: 97, orphaned: 98 } as const;

/**
 * The text that Node starts with (`node … -e bootText`). It says that it is there, and then waits for the program. Program bytes come through a pipe, so the cage needs no file of ours and a changed
 * file on disk cannot change what runs. It must stay free of data: everybody on the host can read a command line.
 * What it takes away from the plugin (signalling or slowing others, the report with its paths) is a seat belt for levels without namespaces.
 */
export const bootText = `'use strict';
const fs = require('node:fs'), mod = require('node:module'), { hash } = require('node:crypto');
fs.writeSync(${payloadFd}, '\\n');
const bytes = fs.readFileSync(${payloadFd}), end = bytes.indexOf(10);
fs.closeSync(${payloadFd});
if (end < 0) process.exit(${bootExitCodes.damagedPayload});
const head = JSON.parse(bytes.subarray(0, end).toString()), sources = new Map();
let at = end + 1;
for (const { name, length, sha256 } of head.parts) {
  const part = bytes.subarray(at, (at += length));
  if (part.length !== length || hash('sha256', part) !== sha256) process.exit(${bootExitCodes.damagedPayload});
  sources.set('lattice:' + name, part.toString());
}
if (head.parent && process.ppid !== head.parent) process.exit(${bootExitCodes.orphaned});
for (const fd of head.close) fs.closeSync(fd);
mod.registerHooks({
  resolve(name, from, next) {
    if (name.startsWith('lattice:')) return { url: name, format: 'module', shortCircuit: true };
    if (mod.isBuiltin(name)) return next(name, from);
    throw Object.assign(new Error('cannot import "' + name + '": a plugin is one file, so bundle what it needs'), { code: 'ERR_MODULE_NOT_FOUND' });
  },
  load(url, from, next) {
    const source = sources.get(url);
    sources.delete(url); // V8 holds the text from here on
    return source === undefined ? next(url, from) : { format: 'module', source, shortCircuit: true };
  },
});
if (head.title) process.title = head.title;
process.execPath = 'node';
process.argv = ['node', 'lattice:artifact'];
process.execArgv = [];
if (head.seatBelt) {
  const kill = process._kill, own = process.pid;
  process._kill = (pid, signal) => (pid === own ? kill(pid, signal) : -1);
  const os = require('node:os'), setPriority = os.setPriority;
  os.setPriority = (...args) => {
    if (args.length > 1 && args[0] && args[0] !== own) throw Object.assign(new Error('EPERM: not this process'), { code: 'EPERM' });
    setPriority(...args);
  };
  mod.syncBuiltinESMExports();
  for (const name of ['_debugProcess', '_debugEnd', '_eval', 'report']) delete process[name];
}
const usage = process.memoryUsage, load = require;
process.memoryUsage = Object.assign(() => {
  try { return usage(); } catch {} // without /proc there is no resident size
  const { total_heap_size: heapTotal, used_heap_size: heapUsed, external_memory: external } = load('node:v8').getHeapStatistics();
  return { rss: 0, heapTotal, heapUsed, external, arrayBuffers: 0 };
}, { rss: () => { try { return usage.rss(); } catch { return 0; } } });
for (const name of ['require', 'module', 'exports', '__filename', '__dirname', ...mod.builtinModules])
  if (!['process', 'crypto', 'console'].includes(name)) delete globalThis[name];
import('lattice:runner');
`;

export type Payload = {
  runner: Buffer;
  artifact: Buffer;
  /** What the accepted manifest pins, so that the child checks against the manifest and not against a copy that went wrong before. */
  artifactSha256?: string;
  /** The supervisor's pid where the child can see it: a child that finds another parent came to life after its supervisor died. */
  parentPid?: number | null;
  /** Descriptors that hold nothing but /dev/null. */
  close?: readonly number[];
  title?: string;
  /** Off only in the probe, which asks whether the kernel's layers hold alone. */
  seatBelt?: boolean;
};

/** One line of JSON (length and SHA-256 of each part, facts for the boot text), then the parts. */
export function encodePayload({ runner, artifact, artifactSha256, parentPid = null, close = [], title, seatBelt = true }: Payload): Buffer {
  const parts = [
    { name: 'runner', length: runner.length, sha256: hash('sha256', runner) },
    { name: 'artifact', length: artifact.length, sha256: artifactSha256 ?? hash('sha256', artifact) },
  ];
  const head = JSON.stringify({ parts, parent: parentPid, close, title, seatBelt });
  return Buffer.concat([Buffer.from(`${head}\n`), runner, artifact]);
}
