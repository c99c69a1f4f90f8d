import { PassThrough } from 'node:stream';
import t, { type Test } from 'tap';
import { type Ask, readKeys } from '../../../supervisor/dev/console/keyboard.ts';

/** Types into the question that the key `c` asks, and answers what was understood. */
function answerOf(t: Test, typed: string): Promise<string | null> {
  const stdin = Object.assign(new PassThrough(), { setRawMode: () => undefined });
  const stdout = new PassThrough();
  stdout.resume();
  const terminal = { stdin, stdout } as unknown as Parameters<typeof readKeys>[0]; // what readKeys uses of them
  return new Promise((resolve) => {
    const onKey = async (_key: string, ask: Ask) => {
      const answered = ask('call: ', 'tool.say 1');
      stdin.write(typed);
      resolve(await answered);
    };
    const keys = readKeys(terminal, onKey);
    t.teardown(() => keys.close());
    stdin.write('c');
  });
}

t.test('given a proposal, when something else is typed, then only that counts', async (t) => {
  t.equal(await answerOf(t, 'tool.put {"a":1}\r'), 'tool.put {"a":1}');
});

t.test('given a proposal, when nothing is typed, then it is taken', async (t) => {
  t.equal(await answerOf(t, '\r'), 'tool.say 1');
});

t.test('given a proposal, when the arrow up is pressed, then it can be changed', async (t) => {
  t.equal(await answerOf(t, '\u001b[A\u007f2\r'), 'tool.say 2');
});

t.test('given a question, when Ctrl-C is pressed, then there is no answer', async (t) => {
  t.equal(await answerOf(t, 'abc\u0003'), null);
});
