import { closeSync, openSync, writeSync } from 'node:fs';
import { HostError } from '../../../protocol/errors.ts';
import { parseJson } from '../../../protocol/parse-json.ts';
import type { Clock } from '../../clock.ts';
import type { LoadedBundle } from '../../loaded-bundle.ts';
import type { Direction } from '../harness/interposer.ts';
import type { Redact } from '../harness/redact.ts';
import { type SessionHeader, sessionSchema } from './session-file.ts';

export type Recorder = { begin(bundle: LoadedBundle): void; message(direction: Direction, line: string): void; close(): void };

/** Writes every message, without its secrets, one a line and at once: a record that was cut off is still one. */
export function createRecorder(file: string, { clock, redact }: { clock: Clock; redact: Redact }): Recorder {
  const descriptor = openFile(file);
  const began = clock.monotonicMs();
  let hasHeader = false;
  const write = (value: object): void => void writeSync(descriptor, `${JSON.stringify(value)}\n`);
  return {
    begin({ manifest, artifactSha256 }) {
      if (hasHeader) return;
      hasHeader = true;
      const plugin = { id: manifest.id, version: manifest.version, artifact_sha256: artifactSha256 };
      write({ schema: sessionSchema, plugin } satisfies SessionHeader);
    },
    message(dir, line) {
      write({ at: Math.round(clock.monotonicMs() - began), dir, msg: cut(redact(readMessage(line))) });
    },
    close: () => closeSync(descriptor),
  };
}

function openFile(file: string): number {
  try {
    return openSync(file, 'w', 0o600);
  } catch (error) {
    const { code = 'error' } = error as NodeJS.ErrnoException;
    throw new HostError('invalid-params', `the record cannot be written (${code})`, {
      hint: 'name a file in a folder that you may write to',
    });
  }
}

function readMessage(line: string): unknown {
  try {
    return parseJson(line) as unknown;
  } catch {
    return line; // no message: what the plugin printed to stdout
  }
}

/** Only when its secrets are gone: half a secret would not be found. */
const cut = (message: unknown): unknown => (typeof message === 'string' ? message.slice(0, 1000) : message);
