import { contenders } from './contenders/all.ts';
import { type Direction, directions, type StretchOrder } from './directions.ts';

/** Runs in a process of its own: the parent's end of one contender. One message, one stretch of calls. */
const [name, direction] = process.argv.slice(2);
const contender = contenders.find((each) => each.name === name);
if (!contender || !direction || !Object.hasOwn(directions, direction))
  throw new Error(`no such contender or direction: ${name}, ${direction}`);
const measure = directions[direction as Direction]; // just checked
const session = await contender.open();
process.send?.(session ? 'open' : 'absent');
if (!session) process.disconnect?.();
process.on('message', async (order: StretchOrder | 'close') => {
  if (!session) return;
  if (order !== 'close') return process.send?.(await measure(session, order));
  await session.close();
  process.disconnect?.();
});
