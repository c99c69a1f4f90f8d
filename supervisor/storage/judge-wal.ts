const headerBytes = 32;
const frameHeaderBytes = 24;
const magicLittle = 0x377f0682; // the last bit of the number says in which order its checksums read words
const magicBig = 0x377f0683;

type Sum = readonly [number, number];
type Frame = { salts: string; commits: boolean; sum: Sum; isNext: boolean };

/**
 * SQLite takes a log only up to the first frame whose checksum is wrong, and says nothing: right for the torn end that a crash leaves, and a
 * silent loss when a frame in the middle was changed. Each commit was synced before the next began, so a commit that is followed by more of
 * the same log cannot have been torn. Answers what is wrong, or null.
 */
export function judgeWal(bytes: Buffer): string | null {
  if (bytes.length <= headerBytes || bytes.every((byte) => byte === 0)) return null; // new, or emptied by a checkpoint
  const magic = bytes.readUInt32BE(0);
  if (magic !== magicLittle && magic !== magicBig) return 'the header of the log is damaged';
  const big = magic === magicBig;
  const first = checksum(bytes, 0, 24, [0, 0], big);
  if (first[0] !== bytes.readUInt32BE(24) || first[1] !== bytes.readUInt32BE(28)) return 'the header of the log is damaged';
  const pageBytes = bytes.readUInt32BE(8);
  if (pageBytes < 512 || pageBytes > 65536 || (pageBytes & (pageBytes - 1)) !== 0) return 'the header of the log is damaged';
  return judgeFrames(readFrames(bytes, pageBytes, first, big), bytes.toString('latin1', 16, 24));
}

function judgeFrames(frames: readonly Frame[], salts: string): string | null {
  const isOurs = (frame: Frame): boolean => frame.salts === salts;
  const bad = frames.findIndex((frame) => !isOurs(frame) || !frame.isNext);
  if (bad === -1) return null;
  // A frame that follows its neighbour by checksum was written whole after it: behind a whole commit it belongs to a later transaction.
  const commit = frames.findIndex((frame, at) => at >= bad && isOurs(frame) && frame.commits);
  const later = frames.some((frame, at) => commit !== -1 && at > commit && isOurs(frame) && frame.isNext);
  return later ? `frame ${bad + 1} of the log is damaged, and whole ones follow it` : null;
}

function readFrames(bytes: Buffer, pageBytes: number, first: Sum, big: boolean): Frame[] {
  const frames: Frame[] = [];
  const step = frameHeaderBytes + pageBytes;
  let before = first;
  for (let at = headerBytes; at + step <= bytes.length; at += step) {
    const sum: Sum = [bytes.readUInt32BE(at + 16), bytes.readUInt32BE(at + 20)];
    const page = checksum(bytes, at + frameHeaderBytes, pageBytes, checksum(bytes, at, 8, before, big), big);
    frames.push({
      salts: bytes.toString('latin1', at + 8, at + 16),
      commits: bytes.readUInt32BE(at + 4) !== 0,
      sum,
      isNext: page[0] === sum[0] && page[1] === sum[1],
    });
    before = sum;
  }
  return frames;
}

function checksum(bytes: Buffer, from: number, length: number, [a, b]: Sum, big: boolean): Sum {
  let [one, two] = [a, b];
  const view = new DataView(bytes.buffer, bytes.byteOffset + from, length);
  for (let at = 0; at < length; at += 8) {
    one = (one + view.getUint32(at, !big) + two) >>> 0;
    two = (two + view.getUint32(at + 4, !big) + one) >>> 0;
  }
  return [one, two];
}
