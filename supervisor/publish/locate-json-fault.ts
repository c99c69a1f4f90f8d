/** `:line:column` of the place where a text stops being JSON, as compilers write it; empty where that is not known. */
export function locateJsonFault(text: string): string {
  try {
    JSON.parse(text);
  } catch (error) {
    const [, line, column] = /\(line (\d+) column (\d+)\)$/.exec(error instanceof Error ? error.message : '') ?? [];
    if (line !== undefined) return `:${line}:${column}`;
  }
  return '';
}
