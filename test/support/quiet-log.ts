import type { Fields, Log } from '../../supervisor/log.ts';

export type QuietLog = Log & { events: { level: string; event: string; fields: Fields }[] };

/** A log that keeps what it is told, for a test to look at. */
export function createQuietLog(): QuietLog {
  const events: QuietLog['events'] = [];
  const keep =
    (level: string) =>
    (event: string, fields: Fields = {}) =>
      void events.push({ level, event, fields });
  return { events, debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') };
}
