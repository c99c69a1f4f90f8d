import { gzipSync } from 'node:zlib';

export type TarEntry = { name: string; body?: string | Buffer; type?: string; linkname?: string; size?: number };

function header({ name, type = '0', linkname = '', size }: TarEntry, bodyBytes: number): Buffer {
  const block = Buffer.alloc(512);
  const octal = (value: number, width: number) => `${value.toString(8).padStart(width - 1, '0')}\0`;
  block.write(name, 0, 100, 'utf8');
  block.write(octal(0o644, 8), 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  block.write(octal(size ?? bodyBytes, 12), 124);
  block.write(octal(0, 12), 136);
  block.write(' '.repeat(8), 148);
  block.write(type, 156);
  block.write(linkname, 157, 100, 'utf8');
  block.write('ustar\x0000', 257, 'latin1');
  block.write(
    `${[...block]
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  );
  return block;
}

/** A tar archive with whatever is asked for, also what no tool would write. */
export function makeTar(entries: readonly TarEntry[]): Buffer {
  const parts = entries.flatMap((entry) => {
    const body = Buffer.from(entry.body ?? '');
    return [header(entry, body.length), body, Buffer.alloc((512 - (body.length % 512)) % 512)];
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

export const makeArchive = (entries: readonly TarEntry[]): Buffer => gzipSync(makeTar(entries), { level: 1 });

/** A pax header for the entry after it. */
export function paxEntry(fields: Readonly<Record<string, string>>, type = 'x'): TarEntry {
  const line = (key: string, value: string): string => {
    const rest = Buffer.byteLength(` ${key}=${value}\n`);
    let length = rest + String(rest).length;
    if (String(length).length !== String(rest).length) length = rest + String(length).length;
    return `${length} ${key}=${value}\n`;
  };
  return {
    name: 'pax',
    type,
    body: Object.entries(fields)
      .map(([key, value]) => line(key, value))
      .join(''),
  };
}
