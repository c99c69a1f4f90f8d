import { isBundlePath } from '../protocol/public-rules.ts';
import { BundleFault } from './read-bundle.ts';

export type ArchiveLimits = {
  compressedBytes: number;
  expandedBytes: number;
  fileBytes: number;
  entries: number;
  pathBytes: number;
  depth: number;
};
/** Those of the public server. */
export const archiveLimits: ArchiveLimits = {
  compressedBytes: 64 << 20,
  expandedBytes: 256 << 20,
  fileBytes: 32 << 20,
  entries: 2048,
  pathBytes: 240,
  depth: 16,
};

/** File systems that ignore case or composition would put these names into one place. */
const foldName = (path: string): string => path.normalize('NFKC').toLowerCase();

/** Decides about each path of an archive, in the order in which they come. Every refusal ends the whole archive. */
export function createArchivePaths(limits: ArchiveLimits) {
  const explicit = new Set<string>();
  const files = new Set<string>();
  const folders = new Set<string>();
  const spellings = new Map<string, string>();
  const refuse = (code: string, detail: string): never => {
    throw new BundleFault(code, detail);
  };

  function claim(path: string): void {
    const known = spellings.get(foldName(path));
    if (known !== undefined && known !== path) refuse('path-collision', 'two paths of the archive differ only in case or composition');
    spellings.set(foldName(path), path);
  }

  /** The path that is meant, without a folder's trailing slash. */
  return function admit(name: string, isFolder: boolean): string {
    if (explicit.size >= limits.entries) refuse('archive-too-large', `the archive has over ${limits.entries} entries`);
    const path = isFolder && name.endsWith('/') ? name.slice(0, -1) : name;
    if (!isBundlePath(path) || path.includes('\ufffd')) refuse('archive-path', 'a path of the archive is not a plain relative path');
    if (Buffer.byteLength(path) > limits.pathBytes) refuse('archive-path', `a path of the archive is over ${limits.pathBytes} bytes`);
    const parts = path.split('/');
    if (parts.length > limits.depth) refuse('archive-path', `a path of the archive is over ${limits.depth} folders deep`);
    if (explicit.has(path)) refuse('duplicate-path', 'a path stands twice in the archive');
    const parents = parts.slice(1).map((_, at) => parts.slice(0, at + 1).join('/'));
    if (parents.some((parent) => files.has(parent)) || (!isFolder && folders.has(path)))
      refuse('duplicate-path', 'a path of the archive is both a file and a folder');
    for (const each of [...parents, path]) claim(each);
    for (const parent of parents) folders.add(parent);
    (isFolder ? folders : files).add(path);
    explicit.add(path);
    return path;
  };
}
