import { visibleJson } from '../../cli/visible.ts';
import type { HarnessEvent } from '../harness/harness-events.ts';
import { describeEvent, type Paint } from './describe-event.ts';

/** Where a developer, or a program, sees what happens. */
export type Screen = {
  show(event: HarnessEvent): void;
  /** Text beside the events: what was asked for, help, a proposal. */
  print(text: string): void;
  /** What stands at the bottom of a terminal. */
  status(lines: readonly string[]): void;
  close(): void;
};
export type Write = (text: string) => void;

const plainWidth = 200;

export const createPlainScreen = (write: Write, paint: Paint): Screen => ({
  show(event) {
    for (const line of describeEvent(event, { paint, width: plainWidth })) write(`${line}\n`);
  },
  print: (text) => write(`${text.trimEnd()}\n`),
  status: () => {},
  close: () => {},
});

/** One JSON object a line, for programs; what is printed beside is an event too. */
export const createJsonScreen = (write: Write): Screen => ({
  show: (event) => write(`${visibleJson(event)}\n`),
  print: (text) => write(`${visibleJson({ kind: 'text', text })}\n`),
  status: () => {},
  close: () => {},
});

const csi = '\u001b[';

/** A terminal: lines scroll above, the status stays at the bottom. While something is asked, lines wait. */
export function createLiveScreen(terminal: NodeJS.WriteStream, paint: Paint): Screen & { hold(): void; release(): void } {
  let status: readonly string[] = [];
  let drawn = 0;
  let held: string[] | null = null;
  const width = () => Math.max(40, terminal.columns || 80);

  /** Leaves the cursor where the status began. */
  const erase = (): string => (drawn === 0 ? '' : `\r${drawn > 1 ? `${csi}${drawn - 1}A` : ''}${csi}J`);

  function draw(above: string): void {
    const text = status.map((line) => cut(line, width() - 1)).join('\n');
    const cleared = erase();
    drawn = status.length;
    terminal.write(`${cleared}${above}${text}`);
  }

  function print(lines: readonly string[]): void {
    if (held) held.push(...lines);
    else draw(lines.map((line) => `${line}\n`).join(''));
  }

  return {
    show: (event) => print(describeEvent(event, { paint, width: width() })),
    print: (text) => print(text.trimEnd().split('\n')),
    status(lines) {
      status = lines;
      if (!held) draw('');
    },
    hold() {
      held = [];
      terminal.write(erase());
      drawn = 0;
    },
    release() {
      const lines = held ?? [];
      held = null;
      print(lines);
    },
    close() {
      terminal.write(erase());
      drawn = 0;
      status = [];
    },
  };
}

/** Cuts a line to a width; colours take no room. */
function cut(line: string, width: number): string {
  let room = width;
  let kept = '';
  for (const part of line.split(/(\u001b\[[0-9;]*m)/)) {
    if (part.startsWith('\u001b')) kept += part;
    else {
      kept += part.slice(0, room);
      room -= Math.min(room, part.length);
    }
  }
  return kept;
}
