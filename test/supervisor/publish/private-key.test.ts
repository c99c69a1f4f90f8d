import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { chmodSync, existsSync, lstatSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createKeyFile, publicKeyText, readPrivateKey } from '../../../supervisor/publish/private-key.ts';
import { parsePublisherKey } from '../../../supervisor/publisher-key.ts';
import { testFolder } from '../../support/test-folder.ts';

t.test(
  'given a free name, when a key is made, then its file is for its owner only and the printed half verifies what it signs',
  async (t) => {
    const folder = testFolder(t);
    const file = join(folder, 'a.key');
    const umask = process.umask(0);
    t.teardown(() => process.umask(umask));

    const made = createKeyFile(file);

    t.equal(lstatSync(file).mode & 0o777, 0o600);
    t.same(readdirSync(folder), ['a.key'], 'no draft is left');
    t.ok(readPrivateKey(file).equals(made));
    const trusted = parsePublisherKey(publicKeyText(made));
    t.ok(trusted.ok && verify(null, Buffer.from('text'), trusted.key, sign(null, Buffer.from('text'), made)));
  },
);

for (const [name, prepare] of [
  ['a file', (file: string) => writeFileSync(file, 'precious')],
  [
    'a link to a file',
    (file: string) => {
      writeFileSync(`${file}.target`, 'precious');
      symlinkSync(`${file}.target`, file);
    },
  ],
  ['a link to nothing', (file: string) => symlinkSync(`${file}.target`, file)],
] as const) {
  t.test(`given ${name} of that name, when a key is made, then it is refused and nothing is written`, async (t) => {
    const folder = testFolder(t);
    const file = join(folder, 'a.key');
    prepare(file);
    const before = readdirSync(folder);

    t.throws(() => createKeyFile(file), { code: 'conflict' });

    t.same(readdirSync(folder), before);
    if (existsSync(file)) t.equal(readFileSync(file, 'utf8'), 'precious');
  });
}

t.test('given a folder that is not there, when a key is made in it, then the error names the folder', async (t) => {
  t.throws(() => createKeyFile(join(testFolder(t), 'none/a.key')), { code: 'invalid-params', details: { rule: 'no-folder' } });
});

for (const mode of [0o640, 0o604, 0o620, 0o602, 0o610]) {
  t.test(`given a key file of mode ${mode.toString(8)}, when it is read, then it is refused`, async (t) => {
    const file = join(testFolder(t), 'a.key');
    createKeyFile(file);
    chmodSync(file, mode);
    t.throws(() => readPrivateKey(file), { code: 'forbidden', details: { rule: 'key-readable-by-others' } });
  });
}

t.test('given what is no Ed25519 key, when it is read as one, then it is refused, and a FIFO does not hold it up', async (t) => {
  const folder = testFolder(t);
  const put = (name: string, text: string) => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const half = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString();
  execFileSync('mkfifo', ['-m', '600', join(folder, 'fifo')]);
  for (const file of [
    put('text', 'hello'),
    put('empty', ''),
    put('rsa', rsa),
    put('half', half),
    join(folder, 'fifo'),
    join(folder, 'none'),
  ])
    t.throws(() => readPrivateKey(file), { code: 'invalid-params' });
});
