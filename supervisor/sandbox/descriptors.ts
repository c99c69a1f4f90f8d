import { readdirSync, readFileSync } from 'node:fs';
import type { Clock } from '../clock.ts';

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

/**
 * The same for one launch after the other. With 300 plugins there are 1500 descriptors to look at, which takes 10 ms in which nothing else
 * happens, so that is done for a hundredth of the time at most: with few, at each launch. What a starter left open is found by the first look.
 */
export function createDescriptorList({ monotonicMs }: Pick<Clock, 'monotonicMs'>, list = openDescriptors): () => readonly number[] {
  let found: readonly number[] = [];
  let nextLookMs = Number.NEGATIVE_INFINITY;
  return () => {
    const beganMs = monotonicMs();
    if (beganMs < nextLookMs) return found;
    found = list();
    const endedMs = monotonicMs();
    nextLookMs = endedMs + 100 * (endedMs - beganMs);
    return found;
  };
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
