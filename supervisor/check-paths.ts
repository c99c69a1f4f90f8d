import { lstatSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { HostError } from '../protocol/errors.ts';

/** Where a path leads, as far as it is there. */
function resolveReal(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(resolveReal(parent), basename(path));
  }
}

const isWithin = (path: string, folder: string): boolean => !/^\.\.(?:\/|$)/.test(relative(folder, path));

const refuse = (message: string, rule: string, hint: string): never => {
  throw new HostError('invalid-params', message, { rule, hint });
};

/** What the service keeps below its data directory and writes to while it runs. */
const kept = ['staging', 'logs'] as const;

/**
 * Refuses a start whose paths cannot keep the promise that only accepted bytes run: whoever can write the plugin directory or staging chooses
 * what is found there, and a service that writes into its own plugin directory could be made to offer itself bundles.
 */
export function checkPaths(
  { dataDir, pluginDir, trustFile }: { dataDir: string; pluginDir: string; trustFile: string },
  uid: number,
): void {
  const [data, plugins] = [resolveReal(dataDir), resolveReal(pluginDir)];
  if (isWithin(data, plugins))
    refuse('the data directory lies in the plugin directory', 'writes-in-plugin-dir', 'choose LATTICE_DATA_DIR outside LATTICE_PLUGIN_DIR');
  const inner = kept.find((name) => isWithin(plugins, resolveReal(join(data, name))) || isWithin(resolveReal(join(data, name)), plugins));
  if (inner !== undefined)
    refuse(
      `the plugin directory and the data directory's ${inner} folder overlap`,
      'writes-in-plugin-dir',
      'choose another LATTICE_PLUGIN_DIR',
    );
  checkOwner(plugins, 'plugin directory', uid, 'LATTICE_PLUGIN_DIR');
  checkStaging(join(data, 'staging'), uid);
  checkTrustFile(trustFile, uid);
}

/** Whose the trust policy is decides what runs, so it is looked at each time that it is read. One that is not there is told by who reads it. */
export function checkTrustFile(trustFile: string, uid: number): void {
  const found = statSync(trustFile, { throwIfNoEntry: false });
  if (found && found.uid !== uid && found.uid !== 0)
    refuse(
      `the trust policy belongs to another user (uid ${found.uid})`,
      'owned-by-another',
      `chown the file that LATTICE_PLUGIN_TRUST names to root or to the service's user (uid ${uid})`,
    );
  if (((found?.mode ?? 0) & 0o002) !== 0)
    refuse('the trust policy can be written by everybody', 'writable-by-others', 'chmod o-w the file that LATTICE_PLUGIN_TRUST names');
  for (const path of new Set([resolve(trustFile), resolveReal(trustFile)])) checkAbove(path, 'trust policy'); // the link and what it leads to
}

/** A directory that only the service's user and root may write. One that is not there is told when it is read. */
function checkOwner(folder: string, what: string, uid: number, setting: string): void {
  const found = statSync(folder, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isDirectory()) refuse(`the ${what} is not a directory`, 'not-a-folder', `let ${setting} name a directory`);
  if (found.uid !== uid && found.uid !== 0)
    refuse(
      `the ${what} belongs to another user (uid ${found.uid})`,
      'owned-by-another',
      `chown it to root or to the service's user (uid ${uid})`,
    );
  if ((found.mode & 0o022) !== 0)
    refuse(`the ${what} can be written by other users`, 'writable-by-others', `chmod go-w the directory that ${setting} names`);
  checkAbove(folder, what);
}

/** Whoever can write a directory above can put something else in the place of what is named. */
function checkAbove(path: string, what: string): void {
  for (let parent = dirname(path), child = path; parent !== child; child = parent, parent = dirname(parent)) {
    const mode = statSync(parent, { throwIfNoEntry: false })?.mode ?? 0;
    // With the sticky bit, as in /tmp, nobody can put another directory in the place of ours.
    if ((mode & 0o002) !== 0 && (mode & 0o1000) === 0)
      refuse(`a directory above the ${what} can be written by everybody`, 'writable-by-others', 'chmod o-w the directories above it');
  }
}

function checkStaging(folder: string, uid: number): void {
  const found = lstatSync(folder, { throwIfNoEntry: false });
  if (!found) return;
  const hint = 'stop the service and remove the folder staging of its data directory: it is filled anew';
  if (!found.isDirectory()) refuse('staging is not a folder of the data directory', 'not-a-folder', hint);
  if (found.uid !== uid) refuse(`staging belongs to another user (uid ${found.uid})`, 'owned-by-another', hint);
  if ((found.mode & 0o022) !== 0) refuse('staging can be written by other users', 'writable-by-others', hint);
}
