import { PassThrough, type Writable } from 'node:stream';
import { createFramer } from '../../../protocol/framing.ts';
import { hostMethods, isHostMethod } from '../../../protocol/host-methods.ts';
import { classifyMessage, type MessageId } from '../../../protocol/message.ts';
import { plainly, tellFirst } from '../../../protocol/plain-words.ts';
import type { Clock } from '../../clock.ts';
import type { Exit, Launch, Run, Runner } from '../../runner.ts';

export type HostCall = { id: MessageId; method: string; params: unknown };
export type Answered = { result?: unknown; error?: { code?: unknown; message?: unknown; data?: { code?: unknown } } };
/** What the suite does with the plugin's host calls: answer each with its sample, refuse each, or let it wait. */
export type HostCallPolicy = 'answer' | 'refuse' | 'hold';

/** The plugin did not do in time what the check waits for. */
export class Missing extends Error {}

type Waiting = { resolve(answer: Answered): void };

/**
 * One run of the plugin in its cage, with the suite in the supervisor's place on the wire: it can say what a supervisor never would, and
 * nothing that the plugin says is lost on the way. `faults` is what broke the protocol.
 */
export async function openSession(runner: Runner, launch: Launch, clock: Clock) {
  const faults: string[] = [];
  const hostCalls: HostCall[] = [];
  const held: HostCall[] = [];
  const waiting = new Map<MessageId, Waiting>();
  const settled = new Set<MessageId>();
  const watchers = new Set<() => void>();
  const ended = Promise.withResolvers<Exit>();
  const framer = createFramer();
  let policy: HostCallPolicy = 'answer';
  let stdin: Writable | null = null;
  let exit: Exit | null = null;
  let lastId = 0;

  const write = (text: string | Buffer): void => void (exit === null && stdin?.writable && stdin.write(text));
  const send = (message: object): void => write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);

  function answerHostCall({ id, method }: HostCall): void {
    const granted = isHostMethod(method) && launch.grant.capabilities.has(hostMethods[method].capability);
    if (policy === 'answer' && granted) return send({ id, result: hostMethods[method].sample.result });
    send({ id, error: { code: -31001, message: 'refused by the conformance suite', data: { code: 'capability-denied', hint: 'none' } } });
  }

  function receive(value: Record<string, unknown>): void {
    const message = classifyMessage(value);
    if (message.kind === 'violation') return void faults.push(`${message.rule}: ${message.detail}`);
    if (message.kind === 'request') {
      const call = { id: message.id, method: message.method, params: message.params ?? {} };
      if (held.some(({ id }) => id === call.id)) faults.push(`duplicate-id: the id ${String(call.id)} is in flight twice`);
      hostCalls.push(call);
      if (isHostMethod(call.method)) {
        const parsed = hostMethods[call.method].params.safeParse(call.params, plainly);
        if (!parsed.success) {
          const { pointer, message: said } = tellFirst(parsed.error.issues);
          faults.push(`invalid-params: ${call.method}: ${pointer}: ${said}`);
        }
      }
      if (policy === 'hold') held.push(call);
      else answerHostCall(call);
    } else if (message.kind === 'response') {
      const asked = waiting.get(message.id);
      if (!asked) faults.push(`unknown-answer: ${settled.has(message.id) ? 'a second' : 'an'} answer to ${JSON.stringify(message.id)}`);
      waiting.delete(message.id);
      settled.add(message.id);
      asked?.resolve(message.value);
    } else if (!message.method.startsWith('$/')) faults.push(`request-without-id: ${message.method.slice(0, 64)}`);
  }

  function push(chunk: Buffer): void {
    framer.push(chunk);
    for (let frame = framer.next(); frame !== null; frame = framer.next()) {
      if (frame.kind === 'stray') faults.push(`stray-output: ${JSON.stringify(frame.text.slice(0, 80))} on stdout is no message`);
      else if (frame.kind === 'violation') faults.push(`${frame.rule}: ${frame.detail}`);
      else if (frame.kind === 'message') receive(frame.value);
    }
    for (const look of [...watchers]) look();
  }

  /** Waits until it holds; a plugin that ended, or took too long, is a Missing with what was waited for. */
  function until(holds: () => boolean, within: number, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (run: () => void) => {
        timer.cancel();
        watchers.delete(look);
        run();
      };
      const look = () => {
        if (holds()) done(resolve);
        else if (exit !== null) done(() => reject(new Missing(`${what}: the plugin ended (${exit?.detail})`)));
      };
      const timer = clock.timer(within, () => done(() => reject(new Missing(`${what}: not within ${within} ms`))));
      watchers.add(look);
      look();
    });
  }

  const run: Run = await runner.start(launch, async () => null, {
    ready() {},
    crashed() {},
    violated() {},
    output() {},
    exited(how) {
      exit = how;
      for (const look of [...watchers]) look();
      ended.resolve(how);
    },
    interpose(wire) {
      stdin = wire.output;
      const unused = new PassThrough().resume(); // the runner's own initialize goes nowhere: the suite says it
      const silent = new PassThrough();
      wire.input.on('data', push);
      wire.input.on('end', () => {
        const last = framer.end();
        if (last) faults.push('partial-line-at-end: stdout ended inside a line');
        silent.end();
      });
      return { input: silent, output: unused };
    },
  });

  return {
    faults,
    hostCalls,
    held,
    write,
    send,
    until,
    hold(next: HostCallPolicy): void {
      policy = next;
      if (next !== 'hold') for (const call of held.splice(0)) answerHostCall(call);
    },
    /** Sends a request and resolves with its answer. `id` may be any that the protocol allows. */
    async request(method: string, params: unknown, within: number, id: MessageId = ++lastId): Promise<Answered> {
      const answer = Promise.withResolvers<Answered>();
      let got: Answered | null = null;
      waiting.set(id, {
        resolve(value) {
          got = value;
          answer.resolve(value);
        },
      });
      send({ id, method, params });
      await until(() => got !== null, within, `the answer to ${method}`);
      return answer.promise;
    },
    nextId: () => ++lastId,
    expectAnswer(id: MessageId): () => boolean {
      waiting.set(id, { resolve() {} });
      return () => settled.has(id);
    },
    hasEnded: (): boolean => exit !== null,
    closeInput: () => void stdin?.end(),
    /** How the plugin ended; it is not ended by this. */
    async exited(within: number): Promise<Exit> {
      await until(() => exit !== null, within, 'the end of the process');
      return ended.promise;
    },
    async close(): Promise<void> {
      run.kill();
      await ended.promise;
    },
  };
}

export type Session = Awaited<ReturnType<typeof openSession>>;
