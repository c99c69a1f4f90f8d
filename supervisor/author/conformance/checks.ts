import { childMethods } from '../../../protocol/child-methods.ts';
import { wireLimits } from '../../../protocol/version.ts';
import { describeInitialize } from '../../describe-initialize.ts';
import {
  answerMs,
  type CheckContext,
  callTimeoutMs,
  describe,
  giveUp,
  invokeHeld,
  invokeParams,
  must,
  mustBeUnknown,
  noHostCall,
  ping,
  pingMs,
  shorten,
  start,
} from './check-steps.ts';

/** Throws what is wrong; may return a remark. */
type Check = { title: string; needsCall?: true; run(context: CheckContext): Promise<string | undefined> };

/** The suite: each check gets a plugin of its own, freshly started. What stdout said in any of them counts too. */
export const checks: Readonly<Record<string, Check>> = {
  handshake: {
    title: 'answers initialize with {"protocol": 1} within 10 s, and asks for nothing before',
    async run(context) {
      await start(context);
      must(context.session.hostCalls.length === 0, 'it called the host before it had answered initialize');
      return undefined;
    },
  },
  'version-refusal': {
    title: 'does not claim a protocol that it does not speak',
    async run({ session, launch }) {
      const answer = await session
        .request('initialize', { ...describeInitialize(launch, callTimeoutMs), protocol: 99, accepts: [99] }, answerMs)
        .catch((thrown) => {
          if (session.hasEnded()) return null; // ending is a refusal too
          throw thrown;
        });
      const claimed = (answer?.result as { protocol?: unknown } | undefined)?.protocol;
      must(claimed !== 99, 'it answered that it speaks protocol 99');
      return answer === null ? 'it ended' : undefined;
    },
  },
  ping: {
    title: 'answers ping within 3 s, again and again',
    async run(context) {
      await start(context);
      for (let turn = 0; turn < 3; turn++) await ping(context);
      return undefined;
    },
  },
  'unknown-method': {
    title: 'answers a request that it does not know with error -32601',
    async run(context) {
      await start(context);
      mustBeUnknown(await context.session.request('conformance.unknown', {}, answerMs), 'a method that there is not');
      await ping(context);
      return undefined;
    },
  },
  'unknown-notification': {
    title: 'ignores notifications that it does not know, and a cancellation of nothing',
    async run(context) {
      await start(context);
      context.session.send({ method: '$/unknown', params: { a: [1] } });
      context.session.send({ method: '$/cancelRequest', params: { id: 4711 } });
      await ping(context);
      return undefined;
    },
  },
  'text-ids': {
    title: 'answers with the id of the request as it was, also a text',
    async run({ session, launch, call }) {
      await start({ session, launch, call });
      for (const id of ['a-1', '7', 'é"\\', 2 ** 53 - 1]) await session.request('ping', {}, pingMs, id);
      return undefined;
    },
  },
  invoke: {
    title: 'answers a method that its manifest declares',
    needsCall: true,
    async run(context) {
      await start(context);
      return describe(await context.session.request('invoke', invokeParams(context), answerMs));
    },
  },
  'undeclared-method': {
    title: 'answers a service method that it does not have with error -32601',
    async run(context) {
      await start(context);
      const params = invokeParams(context, { service: 'conformance', method: 'unknown' });
      mustBeUnknown(await context.session.request('invoke', params, answerMs), 'a service method that there is not');
      return undefined;
    },
  },
  'before-initialize': {
    title: 'runs nothing before initialize',
    needsCall: true,
    async run(context) {
      const { session } = context;
      const answer = await session.request('invoke', invokeParams(context), answerMs).catch((thrown) => {
        if (session.hasEnded()) return null;
        throw thrown;
      });
      must(answer === null || answer.error !== undefined, `it answered ${shorten(answer)} before it was initialized`);
      return undefined;
    },
  },
  'ping-while-waiting': {
    title: 'answers ping while it waits for a host call',
    needsCall: true,
    async run(context) {
      await start(context);
      const { isAnswered } = await invokeHeld(context);
      const asked = context.session.held.length > 0;
      await ping(context);
      context.session.hold('answer');
      await context.session.until(isAnswered, answerMs, 'the answer to invoke once its host call was answered');
      return asked ? undefined : noHostCall;
    },
  },
  'refused-host-call': {
    title: 'answers its caller when a host call is refused',
    needsCall: true,
    async run(context) {
      await start(context);
      context.session.hold('refuse');
      await context.session.request('invoke', invokeParams(context), answerMs);
      await ping(context);
      return undefined;
    },
  },
  cancellation: {
    title: 'lives on when a request is given up, and answers it once at most',
    needsCall: true,
    async run(context) {
      await start(context);
      return giveUp(context);
    },
  },
  deadline: {
    title: 'can be called again after a request ran into its deadline',
    needsCall: true,
    async run(context) {
      await start(context);
      const remark = await giveUp(context); // at a deadline the supervisor does what it does at a cancellation
      await context.session.request('invoke', invokeParams(context), answerMs);
      return remark;
    },
  },
  'many-at-once': {
    title: `answers ${wireLimits.inFlight} requests at once, and a ping among them`,
    needsCall: true,
    async run(context) {
      await start(context);
      const many = Array.from({ length: wireLimits.inFlight }, () => context.session.request('invoke', invokeParams(context), 10_000));
      await Promise.all([...many, ping(context)]);
      return undefined;
    },
  },
  oversize: {
    title: `reads a line of just under ${wireLimits.lineBytes} bytes`,
    needsCall: true,
    async run(context) {
      await start(context);
      const payload = { padding: 'x'.repeat(wireLimits.lineBytes - 1024) };
      await context.session.request('invoke', invokeParams(context, { payload }), 10_000);
      await ping(context);
      return undefined;
    },
  },
  'odd-json': {
    title: 'reads every JSON: deep nesting, escapes, all of Unicode, large numbers, blanks',
    needsCall: true,
    async run(context) {
      await start(context);
      let nested: unknown = 1;
      for (let depth = 0; depth < 60; depth++) nested = depth % 2 ? [nested] : { nested };
      const odd = {
        quote: 'a"}',
        text: 'é 日本 😀 \u0001 \\ " / \u2028',
        empty: {},
        list: [],
        numbers: [1e300, -0.5, 2 ** 53],
        '"key\\': null,
      };
      for (const payload of [nested, odd, [], 'text', 1, true, null, {}])
        await context.session.request('invoke', invokeParams(context, { payload }), answerMs);
      const id = context.session.nextId();
      const isAnswered = context.session.expectAnswer(id);
      const params = JSON.stringify(invokeParams(context, { payload: odd }));
      context.session.write(`{ "params" : ${params},\t"method" : "invoke" , "id" : ${id} , "jsonrpc" : "2.0" }  \n`);
      await context.session.until(isAnswered, answerMs, 'the answer to an invoke whose id stands behind such a payload');
      return undefined;
    },
  },
  'cut-lines': {
    title: 'reads a message that comes in pieces, and several in one',
    async run(context) {
      await start(context);
      const ids = [context.session.nextId(), context.session.nextId(), context.session.nextId()];
      const areAnswered = ids.map((id) => context.session.expectAnswer(id));
      const [first = '', ...others] = ids.map((id) => `${JSON.stringify({ jsonrpc: '2.0', id, method: 'ping', params: {} })}\n`);
      context.session.write(first.slice(0, 9));
      await new Promise((resolve) => setImmediate(resolve)); // the pieces must not be written together
      context.session.write(first.slice(9) + others.join(''));
      await context.session.until(() => areAnswered.every((isAnswered) => isAnswered()), pingMs, 'the answers to three pings');
      return undefined;
    },
  },
  garbage: {
    title: 'ends, or goes on, when a line is no message; and never answers it',
    async run(context) {
      await start(context);
      context.session.write('this is not JSON\n');
      context.session.write('{"jsonrpc":"2.0","id":\n');
      try {
        await ping(context);
        return 'it goes on';
      } catch (thrown) {
        if (context.session.hasEnded()) return 'it ends';
        throw thrown;
      }
    },
  },
  shutdown: {
    title: 'answers shutdown within 2 s, and ends when its stdin is closed',
    async run(context) {
      await start(context);
      const answer = await context.session.request('shutdown', {}, childMethods.shutdown.timeoutMs);
      must('result' in answer, `shutdown was answered with an error: ${shorten(answer)}`);
      context.session.closeInput();
      await context.session.exited(3_000);
      return undefined;
    },
  },
  'end-of-input': {
    title: 'ends by itself when its stdin is closed, also with a host call under way',
    async run(context) {
      await start(context);
      if (context.call) await invokeHeld(context);
      context.session.closeInput();
      const { code, signal } = await context.session.exited(3_000);
      return code === 0 ? undefined : `ended with ${signal ?? `code ${code}`}`;
    },
  },
};
