import t from 'tap';
import { parsePublisherKey } from '../../supervisor/publisher-key.ts';
import { makeKey } from '../support/signed-bundle.ts';

const p = 2n ** 255n - 19n;
const y8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022n;
const encode = (y: bigint, sign = 0) => {
  const bytes = Buffer.from((y | (BigInt(sign) << 255n)).toString(16).padStart(64, '0'), 'hex').reverse();
  return bytes.toString('base64');
};

const lowOrder = [0n, 1n, p - 1n, y8, p - y8, p, p + 1n].flatMap((y) => [encode(y), encode(y, 1)]);
for (const key of lowOrder) {
  t.test(`given the key ${key} of small order, when it is read, then it is refused`, async (t) => {
    t.match(parsePublisherKey(key), { ok: false, code: 'low-order-key' });
  });
}

for (const [name, key] of [
  ['not base64', '!!!'],
  ['too short', Buffer.alloc(31, 1).toString('base64')],
  ['too long', Buffer.alloc(33, 1).toString('base64')],
  ['base64url', Buffer.alloc(32, 0xff).toString('base64url')],
  ['not on the curve', encode(2n)],
  ['not reduced', encode(p + 3n)],
  ['with a line feed', `${makeKey().publicBase64}\n`],
] as const) {
  t.test(`given a key that is ${name}, when it is read, then it is refused as malformed`, async (t) => {
    t.match(parsePublisherKey(key), { ok: false, code: 'malformed-key' });
  });
}

t.test('given real keys, when they are read, then all are accepted', async (t) => {
  for (let n = 0; n < 50; n++) t.equal(parsePublisherKey(makeKey().publicBase64).ok, true);
});
