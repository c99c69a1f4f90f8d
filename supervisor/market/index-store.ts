import { hash } from 'node:crypto';
import type { Database } from '../database.ts';
import type { SeenIndex } from './judge-index.ts';

export type KeptIndex = SeenIndex & { body: Buffer; fetchedAt: string };
type Row = { signed: number; generated_at: string; version: number | null; payload_sha256: string; body: Buffer; fetched_at: string };

/** The last good index of a place, which is also the mark that none may fall behind. */
export function createIndexStore({ read, write }: Pick<Database, 'read' | 'write'>, where: string) {
  const place = hash('sha256', where, 'hex');
  return {
    async load(): Promise<KeptIndex | null> {
      const row = await read.get<Row>('SELECT * FROM market_index WHERE place = ?', [place]);
      if (!row) return null;
      const { signed, generated_at: generatedAt, version, payload_sha256: payloadSha256, body, fetched_at: fetchedAt } = row;
      return { signed: signed === 1, generatedAt, version, payloadSha256, body, fetchedAt };
    },
    keep: ({ signed, generatedAt, version, payloadSha256, body, fetchedAt }: KeptIndex): Promise<void> =>
      write(async (tx) => {
        await tx.run(
          `INSERT OR REPLACE INTO market_index (place, signed, generated_at, version, payload_sha256, body, fetched_at)
           VALUES (?, ?, ?, ?, ?, ?, ?)`,
          [place, signed ? 1 : 0, generatedAt, version, payloadSha256, body, fetchedAt],
        );
      }),
  };
}
export type IndexStore = ReturnType<typeof createIndexStore>;
