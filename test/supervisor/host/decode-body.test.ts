import zlib from 'node:zlib';
import t from 'tap';
import { decodeBody, findDecoder } from '../../../supervisor/host/decode-body.ts';

const text = Buffer.from('the same words, the same words, the same words');
const encoders: Record<string, (bytes: Buffer) => Buffer> = {
  gzip: zlib.gzipSync,
  'x-gzip': zlib.gzipSync,
  deflate: zlib.deflateSync,
  br: zlib.brotliCompressSync,
  zstd: zlib.zstdCompressSync,
};

async function decode(coding: string, bytes: Buffer, most: number): Promise<Buffer> {
  const decoder = findDecoder(coding);
  if (decoder === null) throw new Error('no decoder');
  return decodeBody(decoder, bytes, most);
}

for (const [coding, encode] of Object.entries(encoders)) {
  t.test(`given a body in ${coding}, when it is decoded, then it is the text again`, async (t) => {
    t.same(await decode(coding.toUpperCase(), encode(text), text.length), text);
  });
  t.test(`given a bomb in ${coding}, when it is decoded, then it is refused at the cap`, async (t) => {
    await t.rejects(decode(coding, encode(Buffer.alloc(50_000_000)), 4096), { code: 'payload-too-large' });
    await t.rejects(decode(coding, encode(Buffer.from('ab')), 1), { code: 'payload-too-large' });
  });
  t.test(`given a broken body in ${coding}, when it is decoded, then it is unavailable`, async (t) => {
    await t.rejects(decode(coding, encode(text).subarray(0, 12), 4096), { code: 'unavailable', details: { rule: 'bad-encoding' } });
    await t.rejects(decode(coding, Buffer.from('not this coding at all'), 4096), { code: 'unavailable' });
  });
  t.test(`given no bytes in ${coding}, when they are decoded, then there are none`, async (t) =>
    t.equal((await decode(coding, Buffer.alloc(0), 10)).length, 0),
  );
}

t.test('given deflate without its zlib wrapping, when it is decoded, then it is the text again', async (t) => {
  t.same(await decode('deflate', zlib.deflateRawSync(text), 4096), text);
});

t.test('given a zstd frame that asks for a window over 8 MiB, when it is decoded, then it is refused', async (t) => {
  const params = { [zlib.constants.ZSTD_c_windowLog]: 27, [zlib.constants.ZSTD_c_contentSizeFlag]: 0 };
  const stream = zlib.createZstdCompress({ params });
  stream.end(Buffer.alloc(100_000));
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);

  await t.rejects(decode('zstd', Buffer.concat(chunks), 200_000), { code: 'unavailable', details: { rule: 'bad-encoding' } });
});

t.test('given a coding that is unknown, or a chain, when a decoder is looked for, then there is none', async (t) => {
  for (const coding of [undefined, '', 'identity', 'gzip, gzip', 'aws-chunked', 'toString', '__proto__'])
    t.equal(findDecoder(coding), null);
});
