/** One line, and the place behind it: `id` names that place for good, `cursor` is what brings a reader back to it. */
export type FeedLine = { text: string; id: string; cursor: string };
/** What a reader found. With no lines it says where it stands, so that this place can be kept. */
export type Chunk = { lines: readonly FeedLine[]; cursor: string };

export type ReadOptions = {
  cursor: string | null;
  signal: AbortSignal;
  /** The reader waits for it: what is slow to take lines slows the reading. */
  onChunk(chunk: Chunk): Promise<void>;
};

/** A log that grows. `label` names it to the plugin, without a path. `read` ends when the signal is aborted. */
export type FeedSource = { label: string; read(options: ReadOptions): Promise<void> };
