import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Direction, Stretch, StretchOrder } from './directions.ts';

export type Parent = { name: string; measure(order: StretchOrder): Promise<Stretch>; close(): Promise<void> };

/** Each contender has a parent of its own as well: what one leaves on the heap, the next would collect in its own time. Null: it cannot be had here. */
export async function openParent(name: string, direction: Direction): Promise<Parent | null> {
  const parent = fork(fileURLToPath(new URL('./parent.ts', import.meta.url)), [name, direction]);
  const exited = once(parent, 'exit').then(([code]) => Promise.reject(new Error(`the parent of ${name} ended with ${code}`)));
  exited.catch(() => {}); // told to whoever waits for an answer
  const answer = async (): Promise<unknown> => {
    const [message] = await Promise.race([once(parent, 'message'), exited]);
    return message;
  };
  if ((await answer()) === 'absent') return null;
  return {
    name,
    async measure(order) {
      parent.send(order);
      return (await answer()) as Stretch; // what parent.ts sends
    },
    async close() {
      parent.send('close');
      await exited.catch(() => {});
    },
  };
}
