import { pino } from 'pino';

export type Fields = Record<string, unknown>;
export type Log = Record<'debug' | 'info' | 'warn' | 'error', (event: string, fields?: Fields) => void>;
export const logLevels = ['debug', 'info', 'warn', 'error'] as const;

/** The service's own log: one JSON line per event on the given descriptor (2: stderr). It may name paths; it never holds a token. */
export function createLog(level: (typeof logLevels)[number], descriptor = 2): Log {
  const sink = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'event' },
    pino.destination({ fd: descriptor, sync: true }),
  );
  return {
    debug: (event, fields = {}) => sink.debug(fields, event),
    info: (event, fields = {}) => sink.info(fields, event),
    warn: (event, fields = {}) => sink.warn(fields, event),
    error: (event, fields = {}) => sink.error(fields, event),
  };
}
