import type { Readable, Writable } from 'node:stream';

export function speakLines(input: Readable, output: Writable, onMessage: (message: unknown) => void): (message: unknown) => void;
export function createMinimalPeer(handle: (method: string, params: unknown) => Promise<unknown>): {
  sendWith(send: (message: unknown) => void): void;
  request(method: string, params: unknown): Promise<unknown>;
  receive(message: unknown): void;
};
