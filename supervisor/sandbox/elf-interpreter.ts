import { open } from 'node:fs/promises';

const elfMagic = 0x464c457f;
const class64 = 2;
const programHeaderBytes = 56;
const typeInterpreter = 3;
const longestPathBytes = 4096;

/** The loader that a 64-bit little-endian ELF file asks the kernel for; null for a static file and for anything else. */
export async function readInterpreter(path: string): Promise<string | null> {
  await using file = await open(path, 'r');
  const read = async (position: number, length: number): Promise<Buffer> => {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
    return buffer.subarray(0, bytesRead);
  };
  const header = await read(0, 64);
  if (header.length < 64 || header.readUInt32LE(0) !== elfMagic || header[4] !== class64) return null;
  const count = Math.min(header.readUInt16LE(56), 128);
  const table = await read(Number(header.readBigUInt64LE(32)), count * programHeaderBytes);
  for (let at = 0; at + programHeaderBytes <= table.length; at += programHeaderBytes) {
    if (table.readUInt32LE(at) !== typeInterpreter) continue;
    const length = Math.min(Number(table.readBigUInt64LE(at + 32)), longestPathBytes);
    const text = (await read(Number(table.readBigUInt64LE(at + 8)), length)).toString('latin1');
    return text.split('\0')[0] ?? null;
  }
  return null;
}
