import net, { type Socket } from 'node:net';
import zlib from 'node:zlib';
import t from 'tap';
import { parseExemption } from '../../../supervisor/host/egress-rules.ts';
import { createTestClient, get, openLoopback } from '../../support/fetch-setup.ts';
import { listen, makeCertificate, serveBytes, serveHttp, skipWithoutOpenssl } from '../../support/local-servers.ts';
import { testFolder } from '../../support/test-folder.ts';

const ask = (port: number, options: Parameters<typeof get>[1] = {}) =>
  createTestClient().client.fetch(get(`http://a.example.test:${port}/?token=secret`, options), openLoopback(port));

t.test('given compressed answers, when they are fetched, then the body is plain and the headers no longer claim a coding', async (t) => {
  const encoders: Record<string, (bytes: Buffer) => Buffer> = {
    gzip: zlib.gzipSync,
    deflate: zlib.deflateSync,
    br: zlib.brotliCompressSync,
    zstd: zlib.zstdCompressSync,
  };
  const { port } = await serveHttp(t, ({ headers }, response) => {
    const coding = String(headers['x-coding']);
    response.writeHead(200, { 'content-encoding': coding }).end(encoders[coding]?.(Buffer.from('plain words')));
  });
  for (const coding of Object.keys(encoders)) {
    const answer = await ask(port, { headers: { 'x-coding': coding } });
    t.equal(answer.body.toString(), 'plain words');
    t.notOk('content-encoding' in answer.headers || 'content-length' in answer.headers);
  }
});

t.test('given a coding that is not ours, when it is fetched, then the bytes come as they are, with their header', async (t) => {
  const { port } = await serveHttp(t, (_seen, response) => response.writeHead(200, { 'content-encoding': 'gzip, gzip' }).end('raw'));

  t.match(await ask(port), { body: Buffer.from('raw'), headers: { 'content-encoding': 'gzip, gzip' } });
});

t.test('given a bomb, when it is fetched, then it is refused at the cap', async (t) => {
  const bomb = zlib.gzipSync(Buffer.alloc(20_000_000));
  const { port } = await serveHttp(t, (_seen, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb));

  await t.rejects(ask(port), { code: 'payload-too-large', details: { rule: 'answer-too-large' } });
});

t.test(
  'given a compressed stream that never ends and holds nothing, when it is fetched, then the bytes on the wire are capped',
  async (t) => {
    const emptyBlocks = Buffer.concat(Array.from({ length: 4000 }, () => Buffer.from([0, 0, 0, 0xff, 0xff])));
    const { port } = await serveHttp(t, (_seen, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).write(zlib.gzipSync('').subarray(0, 10));
      const more = () => {
        while (response.writable && response.write(emptyBlocks));
      };
      response.on('drain', more);
      more();
    });

    await t.rejects(ask(port, { maxBytes: 1000 }), { code: 'payload-too-large' });
  },
);

for (const [chunked, how] of [
  [false, 'with its length'],
  [true, 'in chunks'],
] as const) {
  t.test(`given an oversized answer sent ${how}, when it is fetched, then it is refused, and one of just the size is not`, async (t) => {
    const { port } = await serveHttp(t, ({ headers }, response) => {
      const body = 'x'.repeat(Number(headers['x-bytes']));
      response.writeHead(200, chunked ? {} : { 'content-length': body.length }).end(body);
    });

    t.equal((await ask(port, { maxBytes: 1000, headers: { 'x-bytes': '1000' } })).body.length, 1000);
    await t.rejects(ask(port, { maxBytes: 1000, headers: { 'x-bytes': '1001' } }), {
      code: 'payload-too-large',
      details: { max_bytes: 1000 },
    });
  });
}

t.test('given a body that trickles for ever, when the deadline passes, then the fetch is over and the connection gone', async (t) => {
  const closed = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const { port } = await serveHttp(t, (_seen, response) => {
    response.writeHead(200).write('a');
    response.on('close', closed.resolve);
    begun.resolve();
  });
  const { client, clock } = createTestClient();
  const running = client.fetch(get(`http://a.example.test:${port}/`, { timeoutMs: 2000 }), openLoopback(port));

  await begun.promise;
  await Promise.all([t.rejects(running, { code: 'deadline-exceeded' }), clock.advance(2000)]);
  await closed.promise;
});

t.test('given a caller who goes away, when the server has not answered, then the fetch is cancelled and the connection gone', async (t) => {
  const asked = Promise.withResolvers<Socket>();
  const port = await serveBytes(t, asked.resolve);
  const caller = new AbortController();
  const running = ask(port, { signal: caller.signal });

  const socket = await asked.promise;
  const closed = new Promise((resolve) => socket.on('close', resolve));
  socket.resume();
  caller.abort();

  await t.rejects(running, { code: 'cancelled' });
  await closed;
});

t.test('given a server that never finishes the TLS handshake, when the deadline passes, then its connection is gone too', async (t) => {
  const asked = Promise.withResolvers<Socket>();
  const port = await serveBytes(t, asked.resolve);
  const { client, clock } = createTestClient();
  const running = client.fetch(get(`https://a.example.test:${port}/`, { timeoutMs: 2000 }), openLoopback(port));

  const socket = await asked.promise;
  const closed = new Promise((resolve) => socket.on('close', resolve));
  await Promise.all([t.rejects(running, { code: 'deadline-exceeded' }), clock.advance(2000)]);
  await closed;
});

t.test('given headers without end, when they are fetched, then they are refused at the cap', async (t) => {
  const port = await serveBytes(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n');
    const more = () => {
      while (socket.writable && socket.write(`x-more: ${'y'.repeat(1000)}\r\n`));
    };
    socket.on('drain', more);
    more();
  });

  await t.rejects(ask(port), { code: 'payload-too-large', details: { rule: 'headers-too-large' } });
});

t.test('given more headers than are read, when they are fetched, then they are refused', async (t) => {
  const lines = Array.from({ length: 200 }, (_, at) => `x: ${at}\r\n`).join('');
  const port = await serveBytes(t, (socket) => socket.end(`HTTP/1.1 200 OK\r\n${lines}\r\n`));

  await t.rejects(ask(port), { code: 'payload-too-large', details: { rule: 'headers-too-large' } });
});

t.test('given several cookies and a header that repeats, when they are fetched, then each name has one string', async (t) => {
  const port = await serveBytes(t, (socket) =>
    socket.end(
      'HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Expires=Thu, 01 Jan 2026\r\nSet-Cookie: b=2\r\nX-Two: 1\r\nx-two: 2\r\n__proto__: x\r\n__proto__: y\r\n\r\n',
    ),
  );

  const { headers } = await ask(port);

  t.same(headers, { 'set-cookie': 'a=1; Expires=Thu, 01 Jan 2026\nb=2', 'x-two': '1, 2' });
});

const broken: [string, (socket: Socket) => void, string][] = [
  ['something that is not HTTP', (socket) => socket.end('SSH-2.0-server\r\n'), 'bad-answer'],
  ['two lengths', (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'), 'bad-answer'],
  ['nothing', (socket) => socket.end(), 'reset'],
  ['half a body', (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'), 'reset'],
  ['a reset', (socket) => socket.resetAndDestroy(), 'reset'],
  ['an upgrade', (socket) => socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'), 'reset'],
];
for (const [what, write, rule] of broken) {
  t.test(`given a server that answers ${what}, when it is asked, then it is unavailable: ${rule}`, async (t) => {
    const running = ask(await serveBytes(t, write));

    await t.rejects(running, { code: 'unavailable', details: { rule } });
    await running.catch((error) => t.notMatch(JSON.stringify([error.message, error.details]), /secret|127\.0\.0\.1/));
  });
}

t.test('given a port where nothing listens, when it is asked, then it is unavailable: refused', async (t) => {
  const server = net.createServer();
  const port = await listen(t, server);
  await new Promise((resolve) => server.close(resolve));

  await t.rejects(ask(port), { code: 'unavailable', details: { rule: 'refused' } });
});

t.test('given a first address that refuses, when another one was checked too, then it is tried', async (t) => {
  const { port } = await serveHttp(t, (_seen, response) => void response.end('second'));
  const { client } = createTestClient({ resolve: async () => ['::1', '127.0.0.1'] });
  const policy = openLoopback(port);
  const sixth = parseExemption(`[::1]:${port}`);
  if (typeof sixth === 'string') throw new Error(sixth);
  const both = { ...policy, exemptions: [...policy.exemptions, sixth] };

  t.equal((await client.fetch(get(`http://a.example.test:${port}/`), both)).body.toString(), 'second');
});

t.test('given a server with a certificate', { skip: skipWithoutOpenssl }, async (t) => {
  const folder = testFolder(t);
  const own = makeCertificate(folder, 'DNS:a.example.test,IP:127.0.0.1');
  const other = makeCertificate(folder, 'DNS:b.example.test');
  const good = await serveHttp(t, (_seen, response) => void response.end('private'), own);
  const wrong = await serveHttp(t, (_seen, response) => void response.end('private'), other);
  const trusting = createTestClient({ ca: [own.cert, other.cert] }).client;

  t.test('when its issuer is trusted and the name is right, then it is asked by name and by address', async (t) => {
    for (const host of ['a.example.test', '127.0.0.1']) {
      t.equal((await trusting.fetch(get(`https://${host}:${good.port}/`), openLoopback(good.port))).body.toString(), 'private');
    }
  });
  t.test('when its issuer is not trusted, then nothing is sent, whatever the environment says', async (t) => {
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    t.teardown(() => delete process.env.NODE_TLS_REJECT_UNAUTHORIZED);
    const before = good.seen.length;

    const running = createTestClient().client.fetch(get(`https://a.example.test:${good.port}/`), openLoopback(good.port));

    await t.rejects(running, { code: 'unavailable', details: { rule: 'tls' } });
    t.equal(good.seen.length, before);
  });
  t.test('when the certificate is for another name, then nothing is sent', async (t) => {
    await t.rejects(trusting.fetch(get(`https://a.example.test:${wrong.port}/`), openLoopback(wrong.port)), {
      code: 'unavailable',
      details: { rule: 'tls' },
    });
    t.equal(wrong.seen.length, 0);
  });
  t.test('when it redirects to http, then that is not followed', async (t) => {
    const plain = await serveHttp(t, (_seen, response) => void response.end());
    const from = await serveHttp(
      t,
      (_seen, response) => response.writeHead(302, { location: `http://a.example.test:${plain.port}/` }).end(),
      own,
    );

    await t.rejects(trusting.fetch(get(`https://a.example.test:${from.port}/`), openLoopback(from.port, plain.port)), {
      code: 'egress-blocked',
      details: { rule: 'redirect-downgrade' },
    });
    t.equal(plain.seen.length, 0);
  });
  t.test('when http is spoken on its port, then it is unavailable', async (t) => {
    await t.rejects(ask(good.port), { code: 'unavailable' });
  });
});
