import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asHostError } from '../protocol/errors.ts';
import { parseJson } from '../protocol/parse-json.ts';
import { type Clock, timestamp } from './clock.ts';
import { asDiskError } from './disk-fault.ts';
import type { Log } from './log.ts';
import type { LogLine } from './plugin-view.ts';

export type PluginLogDeps = { folder: string; runBytes: number; runs: number; clock: Clock; log: Log };
type Run = {
  number: number;
  seq: number;
  bytes: number;
  droppedBytes: number;
  notedBytes: number;
  buffer: string[];
  writing: Promise<void> | null;
  torn: boolean; // the last write failed, perhaps in the middle of a line
};

const lineMost = 8192;
const fileName = (run: number): string => `run-${String(run).padStart(9, '0')}.ndjson`;
const runOf = (name: string): number | null => {
  const match = /^run-(\d+)\.ndjson$/.exec(name);
  return match ? Number(match[1]) : null;
};

/** During an upgrade two runs speak at once, and each may be restarted; a line of a run that is older than these goes to the newest. */
const openMost = 4;

/**
 * One plugin's log: a file per run (generation), capped, the oldest runs removed. Writing never blocks: lines wait in memory for the write
 * before them, and what is over the cap is dropped and counted.
 */
export function createPluginLog({ folder, runBytes, runs, clock, log }: PluginLogDeps) {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const followers = new Set<(line: LogLine) => void>();
  let open: readonly Run[] = []; // by number, the newest last

  function knownRuns(): number[] {
    try {
      return readdirSync(folder)
        .map(runOf)
        .filter((run) => run !== null)
        .sort((a, b) => a - b);
    } catch {
      return []; // a log that cannot be listed must not end a plugin, far less the service
    }
  }

  /** Number 0: whichever run is the newest. */
  function findRun(number: number): Run {
    const newest = open.at(-1);
    const known = open.find((run) => run.number === number);
    if (known) return known;
    const oldest = open[0];
    const isTooOld = newest && (number === 0 || (open.length === openMost && oldest && number < oldest.number));
    return isTooOld ? newest : begin(number);
  }

  function begin(number: number): Run {
    const run: Run = { number, seq: 0, bytes: 0, droppedBytes: 0, notedBytes: 0, buffer: [], writing: null, torn: false };
    const all = [...open, run].sort((a, b) => a.number - b.number);
    open = all.slice(-openMost);
    for (const older of all) if (older.number < number) noteDropped(older);
    const old = knownRuns();
    for (const stale of old.slice(0, Math.max(0, old.length - runs + 1))) rmSync(join(folder, fileName(stale)), { force: true });
    return run;
  }

  /** What was left out of a run is told in its last line, so that it is still known when the count in memory is gone. */
  function noteDropped(run: Run): void {
    if (run.droppedBytes === run.notedBytes) return;
    run.notedBytes = run.droppedBytes;
    const text = `${run.droppedBytes} bytes of this run were not kept: over the cap of a run`;
    const line: LogLine = { run: run.number, seq: ++run.seq, time: timestamp(clock), source: 'supervisor', level: 'warn', text };
    run.buffer.push(`${JSON.stringify(line)}\n`);
    run.writing ??= drain(run);
  }

  function write(number: number, source: LogLine['source'], level: string, text: string): void {
    const run = findRun(number);
    const line: LogLine = { run: run.number, seq: ++run.seq, time: timestamp(clock), source, level, text: text.slice(0, lineMost) };
    const encoded = `${JSON.stringify(line)}\n`;
    for (const follow of followers) follow(line);
    const bytes = Buffer.byteLength(encoded);
    if (run.bytes + bytes > runBytes) {
      run.droppedBytes += bytes;
      return;
    }
    run.bytes += bytes;
    run.buffer.push(encoded);
    run.writing ??= drain(run);
  }

  async function drain(run: Run): Promise<void> {
    while (run.buffer.length > 0) {
      const text = run.buffer.join('');
      run.buffer = [];
      try {
        await appendFile(join(folder, fileName(run.number)), run.torn ? `\n${text}` : text, { mode: 0o600 });
        run.torn = false;
      } catch (error) {
        run.droppedBytes += Buffer.byteLength(text);
        // Once for each time that the disk fails: a plugin writes faster than anybody reads the service's log.
        if (!run.torn) log.warn('plugin.log', { error: asHostError(asDiskError(error)).message });
        run.torn = true;
      }
    }
    run.writing = null;
  }

  const flush = async (): Promise<void> => void (await Promise.all(open.map(({ writing }) => writing)));

  return {
    write,
    /** A reader sees everything that was written before it asked. */
    async read(options: {
      run?: number;
      last: number;
    }): Promise<{ run: number | null; runs: number[]; lines: LogLine[]; dropped_bytes: number }> {
      await flush();
      const numbers = new Set([...knownRuns(), ...open.map(({ number }) => number)]);
      const all = [...numbers].sort((a, b) => a - b);
      const run = options.run ?? all.at(-1) ?? null;
      if (run === null || !all.includes(run)) return { run: null, runs: all, lines: [], dropped_bytes: 0 };
      const lines = readLines(join(folder, fileName(run))).slice(-options.last);
      return { run, runs: all, lines, dropped_bytes: open.find(({ number }) => number === run)?.droppedBytes ?? 0 };
    },
    follow(onLine: (line: LogLine) => void): () => void {
      followers.add(onLine);
      return () => void followers.delete(onLine);
    },
    flush,
  };
}

export type PluginLog = ReturnType<typeof createPluginLog>;

function readLines(file: string): LogLine[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return []; // this run has said nothing yet
  }
  return text.split('\n').flatMap((line) => {
    try {
      return line === '' ? [] : [parseJson(line) as LogLine]; // written by this file
    } catch {
      return []; // the half line of a crash
    }
  });
}
