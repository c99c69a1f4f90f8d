import { type VerifyJob, workOn } from '../../supervisor/verify-worker.ts';
import { reach } from './killing.ts';

export default (job: VerifyJob): ReturnType<typeof workOn> => workOn(job, reach);
