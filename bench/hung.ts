import { openWorkshop } from '../test/support/real-runtime.ts';
import { listHangs } from './abuses.ts';
import type { Report } from './suites.ts';
import { measureAbuses } from './supervision.ts';

/** Apart from the other abuses, because each takes the half minute in which pings go unanswered. */
export async function measure(): Promise<Report> {
  const workshop = await openWorkshop();
  const { table, rows } = await measureAbuses(workshop, listHangs());
  return { table, figures: { level: workshop.level, abuses: rows } };
}
