import { move, transferableSymbol, valueSymbol } from 'piscina';
import type { ManifestFault } from '../protocol/manifest.ts';
import { type CheckJob, checkArchive } from './check-archive.ts';
import { noFailpoints, type Reach } from './failpoints.ts';
import { type Loaded, type LoadJob, loadStaged } from './load-staged.ts';
import { type Examined, type ExamineJob, examineIndex } from './market/examine-index.ts';
import { type Staged, type StageJob, stageBundle } from './stage-bundle.ts';

export type VerifyJob = StageJob | LoadJob | CheckJob | ExamineJob;
export type VerifyResult<Job extends VerifyJob> = {
  stage: Staged;
  load: Loaded;
  check: ManifestFault | null;
  examine: Examined;
}[Job['kind']];

/** Everything that reads, hashes or unpacks a bundle, or parses an index, happens here, off the event loop. */
export async function workOn(job: VerifyJob, reach: Reach): Promise<VerifyResult<VerifyJob>> {
  if (job.kind === 'stage') return stageBundle(job, reach);
  if (job.kind === 'check') return checkArchive(job);
  if (job.kind === 'examine') return examineIndex(job);
  const loaded = await loadStaged(job);
  if (!loaded.ok) return loaded;
  const moved = { [transferableSymbol]: [loaded.artifact.buffer], [valueSymbol]: loaded };
  return move(moved) as unknown as Loaded; // piscina hands the main thread its value
}

/** Entry of the worker pool. */
export default (job: VerifyJob): Promise<VerifyResult<VerifyJob>> => workOn(job, noFailpoints.reach);
