import type { Contender } from './contender.ts';
import { goPlugin } from './go-plugin.ts';
import { lattice } from './lattice.ts';
import { mcpSdk, vscodeJsonrpc } from './libraries.ts';
import { forkIpc, rawLines } from './raw.ts';

export const reference = rawLines.name;
/** Those that a child can ask for an entry of ours: go-plugin, whose ends are both in another language, only calls its plugin. */
export const twoWay: readonly Contender[] = [rawLines, lattice, forkIpc('json'), forkIpc('advanced'), vscodeJsonrpc, mcpSdk];
export const contenders: readonly Contender[] = [...twoWay, goPlugin];
