declare module 'lattice:artifact' {
  const plugin: unknown;
  export default plugin;
}

declare module 'lattice:boot' {
  /** Waits, without a turn of the event loop, until the artifact has come and is whole; what ends before that ends the process. */
  export function receiveArtifact(): void;
}
