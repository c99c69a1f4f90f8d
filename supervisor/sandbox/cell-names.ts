/**
 * The names of cells, which are file names beside each other: each is one of its own, whatever a plugin is called. An id has letters, digits, dots,
 * hyphens and underscores, and begins with a letter or a digit.
 */
export const nameGenerationCell = (pluginId: string, generation: number): string => `${pluginId}-${generation}`;

/** `+` is in no id: with a hyphen, action 2 of `example.a` would be named like a generation of a plugin `example.a-1`. */
export const nameActionCell = (pluginId: string, generation: number, action: number): string =>
  `${nameGenerationCell(pluginId, generation)}+${action}`;

export const nameWaitingCell = (number: number): string => `_waiting-${number}`;
