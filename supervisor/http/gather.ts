/**
 * Resolves at the end of the event loop's turn, at once for all that asked in it. What many connections brought in one turn goes on together,
 * so that one write takes it to a child, which answers with one.
 */
export function createGather(): () => Promise<void> {
  let gathering: Promise<void> | null = null;
  return () => {
    gathering ??= new Promise((resolve) =>
      setImmediate(() => {
        gathering = null;
        resolve();
      }),
    );
    return gathering;
  };
}
