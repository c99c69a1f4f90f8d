import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readInterpreter } from '../../../supervisor/sandbox/elf-interpreter.ts';
import { testFolder } from '../../support/test-folder.ts';

/** A file that is nothing but headers: one program header of the given type, then the bytes it points to. */
function buildElf(type: number, text: string): Buffer {
  const bytes = Buffer.alloc(64 + 56 + text.length);
  bytes.write('\x7fELF', 'latin1');
  bytes[4] = 2;
  bytes.writeBigUInt64LE(64n, 32);
  bytes.writeUInt16LE(1, 56);
  bytes.writeUInt32LE(type, 64);
  bytes.writeBigUInt64LE(120n, 72);
  bytes.writeBigUInt64LE(BigInt(text.length), 96);
  bytes.write(text, 120, 'latin1');
  return bytes;
}

const rows: [name: string, bytes: Buffer, expected: string | null][] = [
  ['a dynamic executable', buildElf(3, '/lib64/ld-example.so.2\0'), '/lib64/ld-example.so.2'],
  ['a static executable', buildElf(1, 'no path'), null],
  ['a script', Buffer.from('#!/bin/sh\nexit 0\n'.padEnd(200)), null],
  ['an empty file', Buffer.alloc(0), null],
  ['a header without its table', buildElf(3, '').subarray(0, 64), null],
  ['a 32-bit executable', Buffer.concat([Buffer.from('\x7fELF\x01', 'latin1'), Buffer.alloc(100)]), null],
];
for (const [name, bytes, expected] of rows) {
  t.test(`given ${name}, when its loader is looked for, then it is ${expected ?? 'none'}`, async (t) => {
    const file = join(testFolder(t), 'file');
    writeFileSync(file, bytes);
    t.equal(await readInterpreter(file), expected);
  });
}

t.test('given this very Node, when its loader is looked for, then it is an absolute path', async (t) => {
  const found = await readInterpreter(process.execPath);
  t.ok(found === null || found.startsWith('/'));
});
