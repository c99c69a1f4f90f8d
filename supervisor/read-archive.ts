import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { Parser, type ReadEntry } from 'tar';
import { createArchiveBlocks } from './archive-blocks.ts';
import { type ArchiveLimits, archiveLimits, createArchivePaths } from './archive-paths.ts';
import { BundleFault } from './read-bundle.ts';

/** What becomes of an archive's content: a folder on disk, or nothing but hashes. */
export type ArchiveSink = { folder(path: string): void; file(path: string): { write(bytes: Buffer): void; end(): void } };
export type Inventory = ReadonlyMap<string, { sizeBytes: number; sha256: string }>;

const damaged = (detail: string): BundleFault => new BundleFault('archive-damaged', detail);
const chunkBytes = 64 * 1024;

/**
 * Reads a tar+gzip archive whose bytes were verified, and hands its regular files and folders to the sink. Links, devices and every other kind,
 * paths that are not plain, and sizes beyond the limits end it with a BundleFault; then the sink holds a part that must be thrown away.
 */
export async function readArchive(bytes: Buffer, sink: ArchiveSink, limits: ArchiveLimits = archiveLimits): Promise<Inventory> {
  if (bytes.length > limits.compressedBytes)
    throw new BundleFault('archive-too-large', `the archive is over ${limits.compressedBytes} bytes`);
  const inventory = new Map<string, { sizeBytes: number; sha256: string }>();
  const reader = createReader(sink, limits, inventory);
  const streamMost = limits.expandedBytes + limits.entries * 4096; // headers, long names and padding
  let total = 0;
  try {
    for await (const chunk of chunksOf(bytes).pipe(createGunzip({ chunkSize: chunkBytes })) as AsyncIterable<Buffer>) {
      // The parser would unpack once more what looks compressed: a tar archive never begins like that.
      if (total === 0 && isCompressed(chunk)) throw damaged('the archive is compressed twice');
      total += chunk.length;
      if (total > streamMost) throw new BundleFault('archive-too-large', `the archive expands to over ${limits.expandedBytes} bytes`);
      reader.write(chunk);
    }
    reader.end();
  } catch (error) {
    if (error instanceof BundleFault) throw error;
    if (/^(?:Z_|ERR_)/.test((error as NodeJS.ErrnoException).code ?? '')) throw damaged('the archive is not a whole gzip stream');
    throw error;
  }
  return inventory;
}

/** Small pieces, so that a bomb is noticed long before it is unpacked. */
function chunksOf(bytes: Buffer): Readable {
  const parts = Array.from({ length: Math.ceil(bytes.length / chunkBytes) }, (_, at) =>
    bytes.subarray(at * chunkBytes, (at + 1) * chunkBytes),
  );
  return Readable.from(parts);
}

const isCompressed = (chunk: Buffer): boolean =>
  chunk.subarray(0, 2).equals(Buffer.from([0x1f, 0x8b])) || chunk.subarray(0, 4).equals(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]));

type Found = Map<string, { sizeBytes: number; sha256: string }>;

function createReader(sink: ArchiveSink, limits: ArchiveLimits, inventory: Found): { write(chunk: Buffer): void; end(): void } {
  const admit = createArchivePaths(limits);
  let expanded = 0;

  function take(entry: ReadEntry): void {
    const isFolder = entry.type === 'Directory';
    if (blocks.takeFlag() === '0' && isFolder)
      throw new BundleFault('archive-path', 'a file of the archive has a name that ends in a slash, as only a folder may');
    if (!isFolder && entry.type !== 'File' && entry.type !== 'OldFile')
      throw new BundleFault('archive-entry', `the archive holds a ${entry.type}; only regular files and folders are taken`);
    const path = admit(entry.path, isFolder);
    if (isFolder) {
      sink.folder(path);
      entry.resume();
      return;
    }
    if (entry.size > limits.fileBytes)
      throw new BundleFault('archive-too-large', `a file of the archive is over ${limits.fileBytes} bytes`);
    expanded += entry.size;
    if (expanded > limits.expandedBytes)
      throw new BundleFault('archive-too-large', `the files of the archive are over ${limits.expandedBytes} bytes`);
    receive(entry, path);
  }

  function receive(entry: ReadEntry, path: string): void {
    const file = sink.file(path);
    const digest = createHash('sha256');
    let sizeBytes = 0;
    entry.on('data', (bytes: Buffer) => {
      sizeBytes += bytes.length;
      digest.update(bytes);
      file.write(bytes);
    });
    entry.on('end', () => {
      file.end();
      if (sizeBytes !== entry.size) throw damaged('a file of the archive is cut short');
      inventory.set(path, { sizeBytes, sha256: digest.digest('hex') });
    });
  }

  const parser = new Parser({
    strict: false,
    onReadEntry: take,
    onwarn: (code) => {
      throw damaged(`the archive is not a well-formed tar archive (${code})`);
    },
  });
  parser.on('ignoredEntry', (entry: ReadEntry) => {
    throw new BundleFault('archive-entry', `the archive holds an entry of a kind that is not taken (${entry.type})`);
  });
  const blocks = createArchiveBlocks((bytes) => void parser.write(bytes));
  return {
    write: blocks.write,
    end() {
      blocks.end();
      parser.end();
    },
  };
}
