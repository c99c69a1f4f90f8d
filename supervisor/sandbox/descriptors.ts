import { readdirSync, readFileSync } from 'node:fs';

const closeOnExec = 0o2000000;

/**
 * Descriptors above stderr that a child would inherit. Nothing closes them between fork and exec, so the launcher has to cover each one.
 * Node opens all of its own with O_CLOEXEC: what is found here came from whoever started the service.
 */
export function openDescriptors(folder = '/proc/self/fdinfo'): number[] {
  const leaked: number[] = [];
  for (const name of listNumbers(folder)) {
    if (name > 2 && !hasCloseOnExec(`${folder}/${name}`)) leaked.push(name);
  }
  return leaked.sort((a, b) => a - b);
}

function listNumbers(folder: string): number[] {
  try {
    return readdirSync(folder).map(Number);
  } catch {
    return []; // no procfs: not Linux, where no level above none is offered
  }
}

function hasCloseOnExec(file: string): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(file, 'latin1'))?.[1];
    return flags !== undefined && (Number.parseInt(flags, 8) & closeOnExec) !== 0;
  } catch {
    return true; // gone since it was listed, like the descriptor of the listing itself
  }
}
