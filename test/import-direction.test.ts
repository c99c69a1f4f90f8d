import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Who may import from whom; a part may always import from itself, and packages. */
const allowed: Record<string, readonly string[]> = {
  protocol: [],
  supervisor: ['protocol'],
  'runner-child': ['protocol'],
  plugins: ['runner-child'],
};
/** The tables and schemas that need zod: a child that loads it starts slower and is larger, so runner-child takes only types from them. */
const schemaFiles = new Set(['protocol/host-methods.ts', 'protocol/child-methods.ts', 'protocol/manifest.ts']);

const importLine = /(?:^|\n)\s*(import|export)\s+(type\s+)?[^'";]*?from\s+'([^']+)'|import\('([^']+)'\)/g;

for (const part of Object.keys(allowed)) {
  t.test(`given the sources of ${part}, when their imports are read, then each points where it may`, async (t) => {
    const files = globSync(`${part}/**/*.ts`, { cwd: root, exclude: (name) => name.includes('node_modules') });
    t.ok(files.length > 0);
    const wrong: string[] = [];
    for (const file of files) {
      for (const [, , typeOnly, from, dynamic] of readFileSync(join(root, file), 'utf8').matchAll(importLine)) {
        const specifier = from ?? dynamic ?? '';
        if (!specifier.startsWith('.')) continue;
        const target = relative(root, join(root, dirname(file), specifier));
        const other = target.split('/')[0] ?? '';
        if (other !== part && !allowed[part]?.includes(other)) wrong.push(`${file} -> ${target}`);
        if (part === 'runner-child' && schemaFiles.has(target) && !typeOnly) wrong.push(`${file} loads ${target}`);
      }
    }
    t.same(wrong, []);
  });
}

t.test('given the runner that every child loads, when it is built, then it holds no schema library', async (t) => {
  const { loadRunnerBundle } = await import('../supervisor/runner-bundle.ts');
  const text = (await loadRunnerBundle()).toString();
  t.notMatch(text, /ZodType|safeParse/);
  t.match(text, /\$\/cancelRequest/);
});

/** Who may call JSON.parse: what guards it, what reads single strings or places of faults, and what reads keys that are all ours. */
const plainParsers = [
  'protocol/dense-json.ts',
  'protocol/parse-json.ts',
  'protocol/strict-json.ts',
  'supervisor/explain-json.ts',
  'supervisor/sandbox/boot.ts',
  'supervisor/sandbox/canary.ts',
  'supervisor/sandbox/status.ts',
];

t.test(
  'given the sources of service and runner, when they read JSON, then by parse-json.ts or strict-json.ts, because JSON.parse may misread escaped keys',
  async (t) => {
    const files = globSync('{protocol,supervisor,runner-child}/**/*.ts', { cwd: root });
    t.same(files.filter((file) => readFileSync(join(root, file), 'utf8').includes('JSON.parse(')).sort(), plainParsers);
  },
);

t.test('given all sources, when their files are listed, then none is a drawer for odds and ends', async (t) => {
  const files = globSync('{protocol,supervisor,runner-child,plugins}/**/*.ts', { cwd: root });
  t.same(
    files.filter((file) => /(^|\/)(index|utils?|helpers?|common|types|misc)\.ts$/.test(file)),
    [],
  );
});
