import { Header, Pax } from 'tar';
import { BundleFault } from './read-bundle.ts';

const blockBytes = 512;
const metaMost = 1 << 20; // what is said about one entry

type Meta = { flag: string; sizeBytes: number; parts: Buffer[] };

/**
 * Stands before the tar parser and sees each header as it is written, because the parser is kinder than other readers: what the public server
 * refuses must not become a bundle here. What describes an entry is handed on whole: the parser would misread a character that two chunks share.
 */
export function createArchiveBlocks(onward: (bytes: Buffer) => void) {
  const flags: string[] = []; // of the entries that the parser has not told of yet
  let held = Buffer.alloc(0); // the begun header
  let bodyLeft = 0;
  let meta: Meta | null = null;
  let described: Pax | undefined; // what the next entry is said to be
  let emptyBlocks = 0;

  function readHeader(block: Buffer): void {
    const header = new Header(block, 0, described);
    const flag = block.toString('latin1', 156, 157);
    const isMeta = /[xXLNK]/.test(flag);
    if (!header.nullBlock && !isMeta) flags.push(flag);
    onward(block); // refuses what is no header
    if (header.nullBlock) return void emptyBlocks++;
    if (emptyBlocks > 0) throw new BundleFault('archive-damaged', 'the archive goes on after an empty block');
    const sizeBytes = header.size ?? 0;
    if (flag === 'g') throw new BundleFault('archive-entry', 'the archive has a global header');
    bodyLeft = Math.ceil(sizeBytes / blockBytes) * blockBytes;
    if (!isMeta) {
      described = undefined;
      return;
    }
    if (sizeBytes > metaMost) throw new BundleFault('archive-entry', `what the archive says about one entry is over ${metaMost} bytes`);
    if (sizeBytes > 0) meta = { flag, sizeBytes, parts: [] };
  }

  function readBody(part: Buffer): void {
    bodyLeft -= part.length;
    if (meta === null) return onward(part);
    meta.parts.push(part);
    if (bodyLeft > 0) return;
    const body = Buffer.concat(meta.parts);
    onward(body);
    described = describe(meta.flag, body.toString('utf8', 0, meta.sizeBytes), described);
    meta = null;
  }

  return {
    write(chunk: Buffer): void {
      for (let at = 0; at < chunk.length && emptyBlocks < 2; ) {
        const part = chunk.subarray(at, at + (bodyLeft || blockBytes - held.length));
        at += part.length;
        if (bodyLeft > 0) {
          readBody(part);
          continue;
        }
        held = Buffer.concat([held, part]);
        if (held.length < blockBytes) continue;
        const block = held;
        held = Buffer.alloc(0);
        readHeader(block);
      }
    },
    /** An archive may end in the middle of a header: that is the parser's to judge. */
    end: () => void (held.length > 0 && onward(held)),
    /** How the entry was marked that the parser tells of now. */
    takeFlag(): string {
      const flag = flags.shift();
      if (flag === undefined) throw new BundleFault('archive-damaged', 'the archive can be read in two ways');
      return flag;
    },
  };
}

/** The parser reads line by line, others by the length that each record begins with: taken is only what reads alike. */
function describe(flag: string, body: string, before: Pax | undefined): Pax | undefined {
  if (flag === 'K') return before;
  if (/[LN]/.test(flag)) return new Pax({ ...before, path: body.replace(/\0.*/, '') });
  const lines = body.split('\n');
  const isPlain = lines.pop() === '' && lines.every((line) => Number.parseInt(line, 10) === Buffer.byteLength(line) + 1);
  if (!isPlain || body.includes('\0')) throw new BundleFault('archive-damaged', 'an extended header of the archive is not plain records');
  return Pax.parse(body, before);
}
