import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { HostError } from '../../protocol/errors.ts';
import type { PackedPlugin } from './pack-plugin.ts';

type Files = Pick<PackedPlugin, 'manifest' | 'artifact'>;
const names = ['manifest.json', 'artifact'];

/** Puts a packed plugin where a scan finds it, in one step; returns whether anything changed. */
export function placeBundle(packed: PackedPlugin, pluginDir: string): boolean {
  const home = join(pluginDir, packed.id);
  if (isSame(join(home, 'manifest.json'), packed.manifest) && isSame(join(home, 'artifact'), packed.artifact)) return false;
  mkdirSync(pluginDir, { recursive: true, mode: 0o700 });
  const temporary = mkdtempSync(join(pluginDir, '.packing-'));
  writeFiles(temporary, packed, 0o600);
  rmSync(home, { recursive: true, force: true });
  renameSync(temporary, home);
  return true;
}

/** Writes a bundle to a folder of the author's choice. Only a folder that holds nothing but an earlier bundle is replaced. */
export function writeBundle(files: Files, home: string): void {
  if (lstatSync(home, { throwIfNoEntry: false }) !== undefined && !isBundleFolder(home))
    throw new HostError('conflict', `${home} is there and is not a bundle`, {
      rule: 'not-a-bundle',
      hint: 'name another folder with --out, or remove it',
    });
  mkdirSync(dirname(home), { recursive: true });
  const temporary = mkdtempSync(join(dirname(home), '.packing-'));
  try {
    const inner = join(temporary, 'bundle'); // mkdtemp closes its folder to others; a bundle is for whoever may read its place
    mkdirSync(inner);
    writeFiles(inner, files, 0o666);
    rmSync(home, { recursive: true, force: true });
    renameSync(inner, home);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** Replaces a file in one step: a reader sees the old bytes or the new ones. */
export function replaceWhole(file: string, bytes: Buffer): void {
  const beside = `${file}.${process.pid}.new`;
  try {
    writeFileSync(beside, bytes, { flag: 'wx', flush: true });
    renameSync(beside, file);
  } finally {
    rmSync(beside, { force: true });
  }
}

function writeFiles(folder: string, { manifest, artifact }: Files, mode: number): void {
  writeFileSync(join(folder, 'manifest.json'), manifest, { mode });
  writeFileSync(join(folder, 'artifact'), artifact, { mode });
}

const isBundleFolder = (home: string): boolean =>
  lstatSync(home).isDirectory() && readdirSync(home).every((name) => names.includes(name) && lstatSync(join(home, name)).isFile());
const isSame = (file: string, bytes: Buffer): boolean => existsSync(file) && readFileSync(file).equals(bytes);
