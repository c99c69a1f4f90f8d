import type { Outcomes } from './canary.ts';
import { judgeLayers, outcomesOf, type ProbeFindings } from './judge-layers.ts';
import { type Layer, type Level, layersOf, levels } from './levels.ts';
import type { Tools } from './tools.ts';

export type ProbeReport = {
  tools: Tools;
  available: Level;
  /** What there would be if every layer in doubt held: the same as `available` when the probe could tell. */
  possible: Level;
  /** Whether bwrap's --disable-userns works here; goes into every launch. */
  disableUserns: boolean;
  layers: readonly Layer[];
  /** What each canary met, by its level. */
  outcomes: Readonly<Record<'isolated' | 'isolated, without --permission' | 'restricted', Outcomes | null>>;
};

/** Turns layers into the best level: a layer that was not seen to hold does not count. */
export function judgeProbe(findings: ProbeFindings): ProbeReport {
  const layers = judgeLayers(findings);
  const best = (isThere: (row: Layer) => boolean): Level => {
    const there = new Set(layers.filter(isThere).map((row) => row.layer));
    if (findings.tools.node.problem !== null) return 'none';
    return levels.findLast((level) => layersOf[level].every((layer) => there.has(layer))) ?? 'none';
  };
  return {
    tools: findings.tools,
    available: best((row) => row.available),
    possible: best((row) => row.available || row.inDoubt === true),
    disableUserns: findings.disableUserns,
    layers,
    outcomes: {
      isolated: outcomesOf(findings.caged) ?? null,
      'isolated, without --permission': outcomesOf(findings.alone) ?? null,
      restricted: outcomesOf(findings.restricted) ?? null,
    },
  };
}
