import type { AuditRow } from '../../supervisor/audit.ts';
import { type Head, verifyChain } from '../../supervisor/audit-chain.ts';
import type { Connection } from '../../supervisor/sqlite-connection.ts';
import { createRandom } from './mutate-database.ts';

const columns = [
  'time',
  'kind',
  'plugin',
  'actor',
  'method',
  'verdict',
  'code',
  'rule',
  'request_id',
  'summary',
  'hash',
  'generation',
] as const;

/** Changes one byte of one column of one row, asks the chain, and takes it back. Answers what was not found, or null. */
export async function changeOneByte(forged: Connection, head: Head, seed: number): Promise<string | null> {
  const random = createRandom(seed);
  const seq = 1 + random(head.seq);
  const column = columns[random(columns.length)] ?? 'hash';
  const [row] = await forged.all<AuditRow>('SELECT * FROM audit WHERE seq = ?', [seq]);
  const before = row?.[column] ?? null;
  const after = typeof before === 'string' ? changeText(before, random) : Number(before ?? 0) ^ (1 << random(8));
  await forged.run('BEGIN');
  await forged.run(`UPDATE audit SET ${column} = ? WHERE seq = ?`, [column === 'generation' ? Number(after) : String(after), seq]);
  const verdict = await verifyChain(forged, head);
  await forged.run('ROLLBACK');
  return !verdict.ok && verdict.seq === seq ? null : `seed ${seed}: ${column} of row ${seq}: ${JSON.stringify(verdict)}`;
}

function changeText(text: string, random: (below: number) => number): string {
  const at = random(text.length);
  const other = String.fromCharCode(text.charCodeAt(at) ^ (1 << random(7)) || 1); // a NUL would end the text
  return text.slice(0, at) + other + text.slice(at + 1);
}
