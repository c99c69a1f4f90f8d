import { relative, sep } from 'node:path';
import { watch } from 'chokidar';
import type { Clock, Timer } from '../../clock.ts';
import { isBuilt } from '../../publish/build-native.ts';

const quietMs = 150; // an editor writes a file in steps, a checkout writes many

/** Tells which files have changed once they have been quiet for a moment. */
export function watchSources(
  folder: string,
  clock: Clock,
  onChange: (paths: readonly string[]) => void,
): { ready: Promise<void>; close(): Promise<void> } {
  const changed = new Set<string>();
  let timer: Timer | null = null;
  const isIgnored = (path: string): boolean =>
    relative(folder, path)
      .split(sep)
      .some((part) => part === 'node_modules' || part === 'dist' || (part.startsWith('.') && part !== '..')) ||
    path.endsWith('.ndjson') ||
    isBuilt(folder, relative(folder, path));
  const watcher = watch(folder, { ignored: isIgnored, ignoreInitial: true, ignorePermissionErrors: true });
  watcher.on('all', (_event, path) => {
    changed.add(path);
    timer?.cancel();
    timer = clock.timer(quietMs, () => {
      const paths = [...changed];
      changed.clear();
      onChange(paths);
    });
  });
  return {
    ready: new Promise((resolve) => watcher.once('ready', () => resolve())),
    async close() {
      timer?.cancel();
      await watcher.close();
    },
  };
}
