/** Holds back whoever comes while it is closed. */
export function createGate() {
  let closed: PromiseWithResolvers<void> | null = null;
  return {
    close(): void {
      closed ??= Promise.withResolvers();
    },
    open(): void {
      closed?.resolve();
      closed = null;
    },
    isClosed: (): boolean => closed !== null,
    wait: (): Promise<void> | null => closed?.promise ?? null,
  };
}
