import type { Test } from 'tap';

/**
 * A folder of the test's own, by default empty. It goes after everything that the test tears down: tap would remove it first when it is
 * asked for before the first teardown, under a database that is still open.
 */
export function testFolder(t: Test, content: Parameters<Test['testdir']>[0] = {}): string {
  t.teardown(() => undefined);
  return t.testdir(content);
}
