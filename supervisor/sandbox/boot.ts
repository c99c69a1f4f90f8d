import { hash } from 'node:crypto';

/** The descriptor on which a JS child finds its program. */
export const payloadFd = 3;
/** Exit codes of a child whose boot text gave up before any of our code or the plugin's ran. */
export const bootExitCodes = { damagedPayload: 97, orphaned: 98 } as const;

/**
 * The text that Node starts with (`node … -e bootText`). It says that it is there, and then waits for two deliveries on one pipe: our runner, and
 * the artifact, which the runner asks for when it is ready to serve (so a child can be made before anybody knows for which plugin). Each is
 * checked before any of it runs. Bytes come through a pipe, so the cage needs no file of ours and a changed file on disk cannot change
 * what runs. The text must stay free of data: everybody on the host can read a command line.
 * What it takes away from the plugin (signalling or slowing others, the report with its paths) is a seat belt for levels without namespaces.
 */
export const bootText = `'use strict';
const fs = require('node:fs'), mod = require('node:module'), { hash } = require('node:crypto');
fs.writeSync(${payloadFd}, '\\n');
const sources = new Map();
function read(length) {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0, got; at < length; at += got) {
    got = fs.readSync(${payloadFd}, bytes, at, length - at);
    if (got === 0) process.exit(${bootExitCodes.damagedPayload});
  }
  return bytes;
}
function receive() {
  const head = JSON.parse(read(read(4).readUInt32LE()).toString()), part = read(head.length);
  if (hash('sha256', part) !== head.sha256) process.exit(${bootExitCodes.damagedPayload});
  sources.set('lattice:' + head.name, part.toString());
  return head;
}
const head = receive();
let waits = true;
function receiveArtifact() {
  if (!waits) return;
  waits = false;
  const { title } = receive();
  fs.closeSync(${payloadFd});
  if (title) process.title = title;
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
    if (url === 'lattice:artifact') receiveArtifact();
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
globalThis.receiveArtifact = receiveArtifact;
sources.set('lattice:boot', 'export const { receiveArtifact } = globalThis; delete globalThis.receiveArtifact;');
import('lattice:runner');
`;

export type RunnerDelivery = {
  runner: Buffer;
  /** The supervisor's pid where the child can see it: a child that finds another parent came to life after its supervisor died. */
  parentPid?: number | null;
  /** Descriptors that hold nothing but /dev/null. */
  close?: readonly number[];
  /** Until the artifact brings its own. */
  title?: string;
  /** Off only in the probe, which asks whether the kernel's layers hold alone. */
  seatBelt?: boolean;
};

export type ArtifactDelivery = {
  artifact: Buffer;
  /** What the accepted manifest pins, so that the child checks against the manifest and not against a copy that went wrong before. */
  artifactSha256?: string;
  title?: string;
};

/** What a child is given first: all that it is told before anybody needs to know which plugin it will be. */
export const encodeRunner = ({ runner, parentPid = null, close = [], title, seatBelt = true }: RunnerDelivery): Buffer =>
  encode({ name: 'runner', parent: parentPid, close, title, seatBelt }, runner, hash('sha256', runner));

/** And second, once. */
export const encodeArtifact = ({ artifact, artifactSha256, title }: ArtifactDelivery): Buffer =>
  encode({ name: 'artifact', title }, artifact, artifactSha256 ?? hash('sha256', artifact));

/** The length of the head (32 bits, little-endian), the head as JSON with length and SHA-256 of the part, and the part. */
function encode(facts: object, part: Buffer, sha256: string): Buffer {
  const head = Buffer.from(JSON.stringify({ ...facts, length: part.length, sha256 }));
  const headBytes = Buffer.alloc(4);
  headBytes.writeUInt32LE(head.length);
  return Buffer.concat([headBytes, head, part]);
}
