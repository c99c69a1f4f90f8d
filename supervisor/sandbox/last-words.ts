import type { Readable } from 'node:stream';
import type { Clock } from '../clock.ts';

export const lastWordsMs = 250; // how long what the child still had to say is waited for when it has ended

export const waitForEnd = (stream: Readable): Promise<void> =>
  new Promise((resolve) => {
    stream.on('close', resolve);
    stream.on('error', () => resolve());
  });

/** A grandchild may hold a pipe open for ever, so the wait for its end is bounded. */
export function waitForLastWords(ended: Promise<unknown>, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.timer(lastWordsMs, resolve);
    void ended.then(() => {
      timer.cancel();
      resolve();
    });
  });
}
