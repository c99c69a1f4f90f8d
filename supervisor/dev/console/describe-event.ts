import type { Colour } from '../../cli/cli.ts';
import { visible, visibleJson, visibleLines } from '../../cli/visible.ts';
import type { Fix } from '../harness/explain-denial.ts';
import type { Failure, HarnessEvent } from '../harness/harness-events.ts';

export type Paint = (colour: Colour, text: string) => string;
export type Style = { paint: Paint; width: number };

const tagWidth = 8;
const margin = ' '.repeat(9 + tagWidth + 2);
const arrow = { in: '<-', out: '->' } as const;

/** The lines that a developer reads; a message on the wire has none unless it was asked for. */
export function describeEvent(event: HarnessEvent, { paint, width }: Style): string[] {
  const line = (tag: string, text: string) =>
    `${paint('dim', `${(event.at / 1000).toFixed(3).padStart(8)} `)}${tag.padEnd(tagWidth)}  ${text}`;
  const json = (value: unknown, room = width - margin.length) => shorten(visibleJson(value), room);
  switch (event.kind) {
    case 'build':
      return event.ok
        ? [line('build', `${paint('green', 'ok')} in ${event.ms} ms, ${event.detail}`)]
        : [
            line('build', paint('red', event.running ? 'failed; what runs goes on' : 'failed; nothing runs yet')),
            ...indent(visibleLines(event.detail)),
          ];
    case 'state':
      return describeState(event, line, paint);
    case 'host-call':
      return [];
    case 'host-answer':
      return describeAnswer(event, line, json, paint);
    case 'paused':
      return [line('paused', `${paint('yellow', visible(event.method))} ${json(event.params)} waits: p lets it go on`)];
    case 'invoke':
      return [line(`call ${event.id}`, `-> ${paint('bold', visible(event.method))} ${json(event.payload)}`)];
    case 'answer':
      return event.outcome.ok
        ? [line(`call ${event.id}`, `<- ${json(event.outcome.result)} ${paint('dim', duration(event.ms))}`)]
        : [
            line(`call ${event.id}`, `<- ${describeFailure(event.outcome.error, paint)} ${paint('dim', duration(event.ms))}`),
            ...describeHint(event.outcome.error),
          ];
    case 'progress':
      return [line(`call ${event.id}`, `.. ${json(event.value)}`)];
    case 'log':
      return [line(event.source === 'plugin' ? 'log' : event.source, colourOfLevel(event.level, paint)(visible(event.text)))];
    case 'notification':
      return [line('notify', `${visible(event.channel)} ${visible(event.severity)}: ${visible(event.title)} ${json(event.text)}`)];
    case 'message':
      return [line('wire', `${arrow[event.direction]} ${json(event.message)}`)];
    case 'fault':
      return [line('fault', paint('yellow', `${event.fault} at ${visible(event.step)}`))];
    case 'note':
      return [line('note', colourOfLevel(event.level, paint)(visible(event.text)))];
  }
}

/** On the way down only the end is of interest. */
function describeState(
  { to, generation, message }: Extract<HarnessEvent, { kind: 'state' }>,
  line: (tag: string, text: string) => string,
  paint: Paint,
): string[] {
  if (to === 'draining' || to === 'terminating') return [];
  if (to === 'starting') return [line('state', paint('dim', to))];
  const colour = to === 'ready' ? 'green' : to === 'stopped' ? 'dim' : 'red';
  return [
    line(
      'state',
      `${paint(colour, to)}${generation === null ? '' : ` (generation ${generation})`}${message ? `: ${visible(message)}` : ''}`,
    ),
  ];
}

function describeAnswer(
  { method, params, verdict, by, ms, outcome, fixes }: Extract<HarnessEvent, { kind: 'host-answer' }>,
  line: (tag: string, text: string) => string,
  json: (value: unknown, room?: number) => string,
  paint: Paint,
): string[] {
  const mark = verdict === 'deny' ? paint('red', 'denied') : outcome.ok ? paint('green', 'ok') : paint('yellow', 'error');
  const failed = outcome.ok ? '' : fixes.length > 0 ? paint('red', outcome.error.code) : describeFailure(outcome.error, paint);
  const told = outcome.ok ? `${paint('dim', '=')} ${json(outcome.result, 60)}` : failed; // a way out says more than the message
  const source = by === 'fixture' ? ' (fixture)' : '';
  const first = line(
    'host',
    `${mark} ${paint('bold', visible(method))} ${json(params, 80)} ${told} ${paint('dim', `${duration(ms)}${source}`)}`,
  );
  return [first, ...(fixes.length > 0 ? fixes.flatMap((fix) => describeFix(fix, paint)) : describeHint(outcome.ok ? null : outcome.error))];
}

const describeFix = ({ why, pointer, json }: Fix, paint: Paint): string[] => [
  `${margin}${visible(why)}`,
  `${margin}add to plugin.json at ${paint('bold', visible(pointer))}:  ${paint('green', visible(json))}`,
];

const describeHint = (failure: Failure | null): string[] =>
  typeof failure?.details.hint === 'string' ? [`${margin}hint: ${visible(failure.details.hint)}`] : [];

const describeFailure = ({ code, message }: Failure, paint: Paint): string => `${paint('red', code)} ${visible(message)}`;

const colourOfLevel =
  (level: string, paint: Paint) =>
  (text: string): string =>
    level === 'error' ? paint('red', text) : level === 'warn' ? paint('yellow', text) : text;

const duration = (ms: number): string => (ms < 100 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`);

const shorten = (text: string, room: number): string =>
  text.length <= Math.max(room, 20) ? text : `${text.slice(0, Math.max(room, 20) - 1)}…`;

const indent = (text: string): string[] =>
  text
    .trimEnd()
    .split('\n')
    .map((each) => `${margin}${each}`);
