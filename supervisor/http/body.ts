import type { IncomingMessage } from 'node:http';
import getRawBody from 'raw-body';
import { HostError } from '../../protocol/errors.ts';
import { parseStrict } from '../../protocol/strict-json.ts';
import { HttpRefusal } from './problem.ts';

export const bodyLimitBytes = 1024 * 1024;

/** The rest of such a body is not read: the connection ends with the answer. */
const tooLarge = (mostBytes: number) =>
  new HttpRefusal('payload-too-large', `a body is at most ${mostBytes} bytes here`, {
    headers: { Connection: 'close' },
    details: { limit_bytes: mostBytes, hint: 'send less at once' },
  });

export const hasBody = (req: IncomingMessage): boolean =>
  req.headers['transfer-encoding'] !== undefined || (req.headers['content-length'] ?? '0') !== '0';

export const announcesTooMuch = (req: IncomingMessage, mostBytes: number): boolean =>
  Number(req.headers['content-length'] ?? 0) > mostBytes;

/** Reads a JSON body; undefined when there is none, and a promise only where some of it has yet to come. Refuses by the headers alone where they suffice. */
export function readJsonBody(req: IncomingMessage, mostBytes = bodyLimitBytes): unknown {
  if (!hasBody(req)) return undefined;
  if (announcesTooMuch(req, mostBytes)) throw tooLarge(mostBytes);
  if (!/^application\/json *(;|$)/i.test(req.headers['content-type'] ?? '')) {
    throw unsupported('a body must have the content type application/json', 'send Content-Type: application/json');
  }
  if ((req.headers['content-encoding'] ?? 'identity') !== 'identity') {
    throw unsupported('a compressed body is not accepted', 'send the body without Content-Encoding');
  }
  const bytes = takeWhole(req);
  return bytes ? parseBody(bytes) : readPieces(req, mostBytes).then(parseBody);
}

function parseBody(bytes: Buffer): unknown {
  const parsed = parseStrict(bytes);
  if (parsed.ok) return parsed.value;
  throw new HostError('invalid-params', `the body is refused: ${parsed.detail}`, { rule: parsed.rule, hint: 'send one JSON object' });
}

/** The body, when all of it has come: most are small, and to listen for their pieces costs more than to parse them. */
function takeWhole(req: IncomingMessage): Buffer | null {
  return req.readableLength > 0 && String(req.readableLength) === req.headers['content-length'] ? req.read() : null;
}

const readPieces = (req: IncomingMessage, mostBytes: number): Promise<Buffer> =>
  getRawBody(req, { limit: mostBytes, length: req.headers['content-length'] ?? null }).catch((error: unknown) =>
    asRefusal(error, mostBytes),
  );

const unsupported = (message: string, hint: string) =>
  new HttpRefusal('invalid-params', message, {
    status: 415,
    headers: { Connection: 'close' },
    details: { rule: 'unsupported-media-type', hint },
  });

/** raw-body names what went wrong in `type`. */
function asRefusal(error: unknown, mostBytes: number): never {
  const type = typeof error === 'object' && error !== null && 'type' in error ? error.type : undefined;
  if (type === 'entity.too.large') throw tooLarge(mostBytes);
  if (type === 'request.aborted') throw new HostError('cancelled', 'the client went away while it sent the body');
  if (type === 'request.size.invalid')
    throw new HostError('invalid-params', 'the body has another length than announced', { rule: 'length-mismatch' });
  throw error;
}
