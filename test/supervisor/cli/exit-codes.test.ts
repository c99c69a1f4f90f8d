import t from 'tap';
import { errorTable, HostError, isErrorCode } from '../../../protocol/errors.ts';
import { exitCodeOf, exitCodes, NotRunning } from '../../../supervisor/cli/exit-codes.ts';

t.test('every error word has an exit code from 1 to 8, and 3 only means that nothing runs', async (t) => {
  for (const word of Object.keys(errorTable)) {
    if (!isErrorCode(word)) continue;
    t.ok(exitCodes[word] >= 1 && exitCodes[word] <= 8 && exitCodes[word] !== 3, word);
    t.equal(exitCodeOf(new HostError(word, 'x')), exitCodes[word]);
  }
  t.equal(exitCodeOf(new NotRunning('x')), 3);
  t.equal(exitCodeOf(new Error('x')), 1);
});
