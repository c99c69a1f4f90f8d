import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { closeSync, constants, fchmodSync, fstatSync, fsyncSync, linkSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { HostError } from '../../protocol/errors.ts';

const mostBytes = 16 * 1024; // a PKCS #8 Ed25519 key has 119 bytes

/** Makes a key and its file: 0600, exclusive, no link followed, whole and on the disk before it has its name. Throws HostError `conflict` where something is. */
export function createKeyFile(file: string): KeyObject {
  const { privateKey } = generateKeyPairSync('ed25519');
  const draft = `${file}.${process.pid}.new`;
  try {
    const descriptor = openSync(draft, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
    try {
      fchmodSync(descriptor, 0o600);
      writeSync(descriptor, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    linkSync(draft, file); // fails where there is a file, or a link to anywhere
    syncFolder(dirname(file));
    return privateKey;
  } catch (error) {
    throw notMade(file, error);
  } finally {
    rmSync(draft, { force: true });
  }
}

function notMade(file: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'EEXIST')
    return new HostError(
      'conflict',
      `${file} is there already`,
      { rule: 'key-exists', hint: 'a key is never overwritten: choose another name' },
      { cause: error },
    );
  if (code === 'ENOENT' || code === 'ENOTDIR')
    return new HostError(
      'invalid-params',
      `there is no folder ${dirname(file)}`,
      { rule: 'no-folder', hint: 'make it first, readable by you only' },
      { cause: error },
    );
  return new HostError('invalid-params', `${file} cannot be made (${code ?? 'error'})`, { rule: 'key-not-written' }, { cause: error });
}

/** Reads a publisher's private key (PKCS #8 PEM). The file that is checked is the one that is read, whatever the name points to later. */
export function readPrivateKey(file: string): KeyObject {
  const text = readOwnFile(file);
  let key: KeyObject;
  try {
    key = createPrivateKey(text);
  } catch (error) {
    const hint = 'make one with: lattice keygen <file>';
    throw new HostError(
      'invalid-params',
      `${file} holds no private key that can be read`,
      { rule: 'malformed-key', hint },
      { cause: error },
    );
  }
  if (key.asymmetricKeyType === 'ed25519') return key;
  throw new HostError('invalid-params', `${file} holds a key that is not Ed25519`, {
    rule: 'malformed-key',
    hint: 'make one with: lattice keygen <file>',
  });
}

function readOwnFile(file: string): Buffer {
  let descriptor: number;
  try {
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY); // a FIFO must not hold us up
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const hint = 'name the file that lattice keygen made';
    throw new HostError(
      'invalid-params',
      `${file} cannot be opened (${code ?? 'error'})`,
      { rule: 'key-unreadable', hint },
      { cause: error },
    );
  }
  try {
    const found = fstatSync(descriptor);
    if (!found.isFile() || found.size > mostBytes)
      throw new HostError('invalid-params', `${file} is not a key file`, { rule: 'malformed-key' });
    if ((found.mode & 0o077) !== 0) {
      throw new HostError('forbidden', `the key file ${file} can be read or changed by others`, {
        rule: 'key-readable-by-others',
        hint: `chmod 600 ${file}; if others may have read it, make a new key and revoke this one`,
      });
    }
    return readFileSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function syncFolder(folder: string): void {
  const descriptor = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** The public half, as a trust policy names it. */
export function publicKeyText(key: KeyObject): string {
  const { x } = createPublicKey(key).export({ format: 'jwk' });
  return Buffer.from(x ?? '', 'base64url').toString('base64');
}
