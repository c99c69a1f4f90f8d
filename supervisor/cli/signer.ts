import { visible } from './visible.ts';

/** Who signed a plugin, as every listing shows it; a bundle that nobody signed must not look like one with an empty publisher. */
export const signerOf = (plugin: { unsigned: boolean; publisher: string }): string =>
  plugin.unsigned ? 'unsigned' : visible(plugin.publisher);
