import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { HostError } from '../../protocol/errors.ts';

type Decoder = (bytes: Buffer, mostBytes: number) => Promise<Buffer>;

const gunzip = promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.gunzip);
const inflate = promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.inflate);
const inflateRaw = promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.inflateRaw);
const brotli = promisify<Buffer, zlib.BrotliOptions, Buffer>(zlib.brotliDecompress);
const zstd = promisify<Buffer, zlib.ZstdOptions, Buffer>(zlib.zstdDecompress);

const windowLogMax = 23; // 8 MiB, the most that zstd may ask for in HTTP; the default lets a sender claim 128 MiB of ours

const decoders: Readonly<Record<string, Decoder>> = {
  gzip: (bytes, maxOutputLength) => gunzip(bytes, { maxOutputLength }),
  'x-gzip': (bytes, maxOutputLength) => gunzip(bytes, { maxOutputLength }),
  // "deflate" means a zlib stream, yet some servers send the bare one; the low bits of the first byte tell them apart.
  deflate: (bytes, maxOutputLength) => (((bytes[0] ?? 0) & 0x0f) === 8 ? inflate : inflateRaw)(bytes, { maxOutputLength }),
  br: (bytes, maxOutputLength) => brotli(bytes, { maxOutputLength }),
  zstd: (bytes, maxOutputLength) => zstd(bytes, { maxOutputLength, params: { [zlib.constants.ZSTD_d_windowLogMax]: windowLogMax } }),
};

export const acceptedEncodings = 'gzip, deflate, br, zstd';

/** The one coding that is ours to undo; a chain of them, or an unknown one, is handed on as it came. */
export function findDecoder(contentEncoding: string | undefined): Decoder | null {
  const name = contentEncoding?.trim().toLowerCase() ?? '';
  return Object.hasOwn(decoders, name) ? (decoders[name] ?? null) : null;
}

/** Undoes the coding. The decoder stops at the cap, so that a small answer cannot become a large one. */
export async function decodeBody(decode: Decoder, bytes: Buffer, mostBytes: number): Promise<Buffer> {
  if (bytes.length === 0) return bytes; // HEAD, 204 and 304 name a coding and send nothing
  try {
    return await decode(bytes, Math.max(mostBytes, 1));
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(mostBytes);
    throw new HostError('unavailable', 'the answer cannot be decompressed', {
      rule: 'bad-encoding',
      hint: 'send accept-encoding: identity',
    });
  }
}

export const tooLarge = (mostBytes: number): HostError =>
  new HostError('payload-too-large', `the answer is over ${mostBytes} bytes`, {
    rule: 'answer-too-large',
    max_bytes: mostBytes,
    hint: 'raise max_bytes, or ask for a part with a Range header',
  });
