import { isDeepStrictEqual } from 'node:util';
import type { Capability } from '../../../protocol/capabilities.ts';
import { defaultResources, type Resources } from '../../../protocol/manifest.ts';
import type { Manifest } from '../../../protocol/manifest-form.ts';
import { parseJson } from '../../../protocol/parse-json.ts';
import type { Used } from '../harness/wide-grant.ts';
import { setMember } from './json-members.ts';
import type { Peak } from './measure-peak.ts';

const headRoom = 1.5;
const leastThreads = 16; // Node starts four more at the first look-up, hash or compression
const roundUp = (value: number, step: number): number => Math.ceil(value / step) * step;
const between = (least: number, value: number, most: number): number => Math.min(most, Math.max(least, value));

/**
 * What it used at most, with head-room; what could not be measured stays as it is. Where its author states nothing and the default is enough,
 * nothing is stated: only a plugin with the default resources takes a child that waits, and so starts in a tenth of the time.
 */
export function proposeResources(peak: Peak, present: Manifest['resources']): Partial<Resources> {
  const measured: Partial<Resources> = {
    ...(peak.memory_mib === null ? {} : { memory_mib: between(32, roundUp(peak.memory_mib * headRoom, 16), 4096) }),
    ...(peak.cpu_percent === null ? {} : { cpu_percent: between(10, roundUp(peak.cpu_percent * headRoom, 10), 400) }),
    ...(peak.threads === null ? {} : { pids: between(leastThreads, roundUp(peak.threads * headRoom, 4), 512) }),
    ...(peak.tmp_mib === null ? {} : { tmp_mib: between(1, roundUp(peak.tmp_mib * headRoom, 1), 1024) }),
  };
  const stated = Object.fromEntries(Object.entries(present ?? {}).filter(([, value]) => value !== undefined));
  const needed = Object.entries(measured).filter(([name, value]) => {
    const known = name as keyof Resources; // the keys were written above
    if (known in stated) return true;
    // Head-room of the processor is no need: a short burst, as at every start, only takes longer.
    return (known === 'cpu_percent' ? (peak.cpu_percent ?? 0) : value) > defaultResources[known];
  });
  return { ...stated, ...Object.fromEntries(needed) };
}

/** The text of plugin.json with the smallest grant that allows again what was used; the rest stays as its author wrote it. */
export function proposeManifest(text: string, manifest: Manifest, used: Used, peak: Peak): string {
  const kept = manifest.capabilities.filter((name) => used.capabilities.has(name) || isCalledFromOutside(name));
  const added = [...used.capabilities].filter((name) => !manifest.capabilities.includes(name)).sort();
  const capabilities = [...kept, ...added];
  const egress = used.capabilities.has('http:egress') && used.egress.length > 0 ? [...used.egress].sort() : undefined;
  const buckets = used.readBuckets.length > 0 ? { read_buckets: [...used.readBuckets].sort() } : undefined;
  const resources = proposeResources(peak, manifest.resources);
  const changes: [name: string, value: unknown, after: string][] = [
    ['capabilities', capabilities, 'engine'],
    ['egress', egress, 'capabilities'],
    ['kv', buckets, egress ? 'egress' : 'capabilities'],
    ['resources', Object.keys(resources).length > 0 ? resources : undefined, 'services'],
  ];
  return changes.reduce((sofar, [name, value, after]) => (isSame(sofar, name, value) ? sofar : setMember(sofar, name, value, after)), text);
}

/** Nothing is asked for with it: requests come in, and none came here. */
const isCalledFromOutside = (name: Capability): boolean => name === 'worker:route';

/** The order of fields is the author's. */
const isSame = (text: string, name: string, value: unknown): boolean =>
  isDeepStrictEqual((parseJson(text) as Record<string, unknown>)[name], value); // the text of a manifest that was accepted
