import t from 'tap';
import { childMethods, notifications } from '../../../protocol/child-methods.ts';
import { hostMethodNames, hostMethods } from '../../../protocol/host-methods.ts';
import { createOpenRpc, createSchemas } from '../../../supervisor/author/protocol-documents.ts';
import { runLattice } from '../cli/run-lattice.ts';

type Method = {
  name: string;
  params: { name: string; required: boolean }[];
  result?: object;
  'x-direction': string;
  'x-capability'?: string;
};
const { methods } = createOpenRpc('1.0.0') as { methods: Method[] };
const { $defs } = createSchemas() as { $defs: Record<string, { type?: string; properties?: object; required?: string[] }> };

t.test('given the tables, when they are described, then each method and notification is there once, and nothing else', async (t) => {
  const names = [...hostMethodNames, ...Object.keys(childMethods), ...Object.keys(notifications)];
  t.same(
    methods.map(({ name }) => name),
    names,
  );
  t.same(
    Object.keys($defs).sort(),
    [
      ...names.flatMap((name) => (Object.hasOwn(notifications, name) ? [`${name}.params`] : [`${name}.params`, `${name}.result`])),
      'error',
    ].sort(),
  );
});

for (const name of hostMethodNames)
  t.test(`given ${name}, when it is described, then with its capability, required fields first, and all that its sample has`, async (t) => {
    const method = methods.find((each) => each.name === name);
    const { sample, capability } = hostMethods[name];
    t.equal(method?.['x-capability'], capability);
    const required = method?.params.map((field) => field.required) ?? [];
    t.same(
      required,
      required.toSorted((a, b) => Number(b) - Number(a)),
    );
    const fields = method?.params.map((field) => field.name) ?? [];
    t.ok(Object.keys(sample.params).every((field) => fields.includes(field)));
    t.ok(Object.keys(sample.result).every((field) => Object.hasOwn($defs[`${name}.result`]?.properties ?? {}, field)));
  });

t.test(
  'given the command, when it prints them, then they are JSON, the same with --json; without a form it says which there are',
  async (t) => {
    const openrpc = await runLattice(['protocol', '--openrpc']);
    t.match(JSON.parse(openrpc.stdout), { openrpc: '1.3.2', info: { version: /^\d/ } });
    t.match(JSON.parse((await runLattice(['protocol', '--schema', '--json'])).stdout), { $defs: { error: {} } });
    t.match(await runLattice(['protocol']), { exitCode: 2, stderr: /--openrpc or --schema/ });
  },
);
