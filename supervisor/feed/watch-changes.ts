import { type FSWatcher, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Clock } from '../clock.ts';
import { isRotatedName } from './locate-file.ts';

/**
 * Says when a log may have changed: at a notice of the file system about it or its rotated siblings, and every `pollMs`, because not
 * every file system gives notice. A change before `wait` is not missed.
 */
export function createChangeWatch(path: string, { clock, pollMs, signal }: { clock: Clock; pollMs: number; signal: AbortSignal }) {
  const base = basename(path);
  let changed = false;
  let wake: (() => void) | null = null;
  let watcher: FSWatcher | null = null;

  const onChange = () => {
    changed = true;
    wake?.();
  };

  function close(): void {
    watcher?.close();
    watcher = null;
  }

  function tryToWatch(): void {
    try {
      watcher = watch(dirname(path), (_event, name) => {
        if (name === null || name === base || isRotatedName(name, base)) onChange();
      });
      watcher.on('error', close); // the folder is gone, or there are no more watches to be had: polling goes on
    } catch {
      watcher = null;
    }
  }

  signal.addEventListener('abort', onChange, { once: true });
  tryToWatch();
  return {
    async wait(): Promise<void> {
      if (!changed && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const timer = clock.timer(pollMs, resolve);
          wake = () => {
            timer.cancel();
            resolve();
          };
        });
        wake = null;
      }
      changed = false;
      if (watcher === null && !signal.aborted) tryToWatch();
    },
    close() {
      signal.removeEventListener('abort', onChange);
      close();
    },
  };
}
