import type { InvokeBudget } from '../../protocol/manifest-form.ts';

/** What an action may use where its manifest states nothing: the public server's own figures. */
export const defaultBudget: InvokeBudget = { timeout_ms: 10_000, stdout_bytes: 1024 * 1024, stderr_bytes: 1024 * 1024, host_calls: 64 };

export const actionLimits = {
  atOnce: 4, // processes of one plugin
  waiting: 64, // further actions, within their own deadline
  lingerMs: 1000, // from the reply to the exit; then it is killed
} as const;
