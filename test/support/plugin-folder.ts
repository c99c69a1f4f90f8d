import type { Test } from 'tap';
import { type HarnessOptions, openHarness } from '../../supervisor/dev/harness/harness.ts';
import type { HarnessEvent } from '../../supervisor/dev/harness/harness-events.ts';
import type { Workshop } from '../../supervisor/dev/harness/workshop.ts';
import { testFolder } from './test-folder.ts';

export type PluginText = { code: string; manifest?: Record<string, unknown>; files?: Record<string, string> };

/** plugin.json of a plugin whose service `tool` has the functions that the code names at the beginning of lines; more fields go over it. */
export function manifestText(code: string, more: Record<string, unknown> = {}): string {
  const methods = code.matchAll(/(?:\btool: \{ *|^ {2,4})(?:async )?(\w+)(?:: \(|: \w+ =>|\([^)]*\) \{)/gm);
  const rows = [...methods].map(([, name]) => ({ name, effect: 'read', scopes: ['plugin:call'], timeout_ms: 20_000 }));
  return JSON.stringify(
    {
      schema: 'lattice.plugin.manifest.v3',
      id: 'example.test',
      name: 'Test',
      version: '1.0.0',
      publisher: 'dev.local',
      type: 'system',
      engine: 'node',
      capabilities: [],
      services: [{ name: 'tool', methods: rows }],
      ...more,
    },
    null,
    2,
  );
}

/** A folder with the sources of a plugin in plain JavaScript. `code` is an object of services. */
export const pluginFolder = (t: Test, { code, manifest = {}, files = {} }: PluginText): string =>
  testFolder(t, { 'plugin.json': manifestText(code, manifest), 'plugin.js': `export default ${code};\n`, ...files });

/** A harness that is stopped with the test, and what it told. */
export async function openTestHarness(t: Test, workshop: Workshop, options: Omit<HarnessOptions, 'workshop'>) {
  const events: HarnessEvent[] = [];
  const waiting = new Set<() => void>();
  const harness = await openHarness({
    ...options,
    workshop,
    onEvent(event) {
      events.push(event);
      options.onEvent?.(event);
      for (const look of [...waiting]) look();
    },
  });
  t.teardown(() => harness.stop());
  function until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve) => {
      const look = () => {
        if (!holds()) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
    });
  }
  const of = <K extends HarnessEvent['kind']>(kind: K) =>
    events.filter((event): event is Extract<HarnessEvent, { kind: K }> => event.kind === kind);
  return { harness, events, of, until };
}
