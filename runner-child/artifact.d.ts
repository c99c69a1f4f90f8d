declare module 'lattice:artifact' {
  const plugin: unknown;
  export default plugin;
}
