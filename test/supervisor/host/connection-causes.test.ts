import t from 'tap';
import { classifyFailure, nameError } from '../../../supervisor/host/connection-causes.ts';

const cases: [string, string][] = [
  ['ECONNREFUSED', 'refused'],
  ['ENETUNREACH', 'unreachable'],
  ['ETIMEDOUT', 'timeout'],
  ['ECONNRESET', 'reset'],
  ['UND_ERR_SOCKET', 'reset'],
  ['HPE_INVALID_CONSTANT', 'bad-answer'],
  ['ENOTFOUND', 'dns'],
  ['EAI_AGAIN', 'dns'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'tls'],
  ['CERT_HAS_EXPIRED', 'tls'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'tls'],
  ['EWHATEVER', 'failed'],
];
for (const [code, rule] of cases) {
  t.test(`given an error ${code}, when it is classified, then it is ${rule}`, async (t) =>
    t.equal(classifyFailure(Object.assign(new Error('x'), { code })).rule, rule),
  );
}

t.test('given a code put over the system’s own, when it is classified, then the system’s tells', async (t) => {
  t.equal(classifyFailure(Object.assign(new Error('x'), { code: 'ESOCKET', originalCode: 'CERT_HAS_EXPIRED' })).rule, 'tls');
});

t.test('given what is no error, when it is named, then it has no name', async (t) => {
  t.same([nameError('x'), nameError(null)], [[], []]);
  t.equal(classifyFailure(undefined).rule, 'failed');
});
