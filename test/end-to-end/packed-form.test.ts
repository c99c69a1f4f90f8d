import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import t, { type Test } from 'tap';
import { x } from 'tar';
import { projectRoot } from '../docs/markdown.ts';
import { eventually } from '../support/eventually.ts';
import { testFolder } from '../support/test-folder.ts';

const packageName = 'lattice-plugin-supervisor';
const npm = ['/usr/bin/npm', '/usr/local/bin/npm', join(process.execPath, '../npm')].find(existsSync);
const modules = join(projectRoot, 'node_modules');

/** An empty project with the tarball in its node_modules, and beside it the packages it depends on, as an installation would leave them. */
async function install(t: Test) {
  const folder = testFolder(t);
  const env = ['/usr/bin/env', '-i', `PATH=${join(modules, '.bin')}:/usr/local/bin:/usr/bin:/bin`, `HOME=${folder}`];
  const [file = '', ...words] = env;
  t.teardown(() => rmSync(join(projectRoot, 'dist'), { recursive: true, force: true }));
  execFileSync(file, [...words, npm ?? 'npm', 'pack', '--silent', '--pack-destination', folder], { cwd: projectRoot, stdio: 'pipe' });
  const [tarball = ''] = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  const project = join(folder, 'project');
  const own = join(project, 'node_modules', packageName);
  mkdirSync(join(project, 'node_modules', '.bin'), { recursive: true });
  writeFileSync(join(project, 'package.json'), '{"private":true}');
  mkdirSync(own);
  await x({ file: join(folder, tarball), cwd: own, strip: 1 });
  const described = JSON.parse(readFileSync(join(own, 'package.json'), 'utf8')) as Record<'dependencies' | 'bin', Record<string, string>>;
  const { dependencies, bin } = described;
  for (const name of Object.keys(dependencies)) {
    mkdirSync(join(project, 'node_modules', name, '..'), { recursive: true });
    symlinkSync(join(modules, name), join(project, 'node_modules', name));
  }
  for (const name of ['lattice', 'create-lattice-plugin'])
    symlinkSync(`../${packageName}/${bin[name]}`, join(project, 'node_modules', '.bin', name));
  const command = join(project, 'node_modules', '.bin', 'lattice');
  const start = (args: string[], environment: Record<string, string> = {}) => run(command, args, environment);
  const run = (path: string, args: string[], environment: Record<string, string> = {}) =>
    execa(process.execPath, [path, ...args], { cwd: project, env: { HOME: folder, ...environment }, extendEnv: false, reject: false });
  const create = (args: string[]) => run(join(command, '../create-lattice-plugin'), args);
  return { folder, project, own, start, create };
}

t.test(
  'given the tarball in an empty project, when an author works with it, then new, dev, test, pack and the types do',
  { skip: !npm && 'npm is not installed' },
  async (t) => {
    const { folder, project, own, start, create } = await install(t);
    const sources = readdirSync(own, { recursive: true, encoding: 'utf8' }).filter(
      (name) => name.endsWith('.ts') && !name.endsWith('.d.ts'),
    );
    t.same(sources, [], 'no TypeScript that Node would have to strip');

    for (const name of ['page.html', 'page.js', 'page.css', 'call-form.js'])
      t.ok(existsSync(join(own, 'dist/supervisor/dev/inspector', name)), `the inspector has its ${name}`);
    t.match(await create(['created', '--language', 'js', '--yes']), { exitCode: 0, stdout: /example\.created is in created/ });
    t.match(await start(['new', 'hello', '--id', 'example.hello-there']), { exitCode: 0, stdout: /example\.hello-there is in hello/ });
    t.notOk(existsSync(join(project, 'hello', 'node_modules')), 'it is found in the project, so it is not linked');
    const dev = await start(['dev', 'hello', '--once', '--call', 'greeter.greet {"name":"Ada"}']);
    t.match(dev, { exitCode: 0, stdout: /Hello, Ada!/ });
    t.match(await start(['test', 'hello']), { exitCode: 0, stdout: /pass 2/ });
    t.match(await start(['pack', 'hello', '--json']), { exitCode: 0 });
    t.same(readdirSync(join(project, 'hello', 'bundle')).sort(), ['artifact', 'manifest.json']);
    t.match(await start(['conformance', join('hello', 'bundle'), '--only', 'handshake,shutdown']), { exitCode: 0, stdout: /2 passed/ });

    const checked = await execa(process.execPath, [join(modules, 'typescript/bin/tsc'), '-p', 'hello'], {
      cwd: project,
      env: {},
      extendEnv: false,
      reject: false,
    });
    t.equal(checked.stdout, '', 'the declarations type-check a plugin');

    const dataDir = join(folder, 'data');
    const trust = join(folder, 'trust.json');
    mkdirSync(join(folder, 'plugins'));
    writeFileSync(trust, '{"trusted_publishers":{}}', { mode: 0o600 });
    const settings = { LATTICE_DATA_DIR: dataDir, LATTICE_PLUGIN_DIR: join(folder, 'plugins'), LATTICE_PLUGIN_TRUST: trust };
    const service = start(['serve'], { ...settings, LATTICE_LISTEN: '127.0.0.1:0', LATTICE_RUNNER: 'noop', LATTICE_ALLOW_ROOT: '1' });
    let ended = false;
    const end = service.finally(() => {
      ended = true;
    });
    t.teardown(async () => {
      service.kill('SIGKILL');
      await end;
    });
    await eventually(() => ended || existsSync(join(dataDir, 'address')));
    t.match(await start(['plugins', 'list', '--json'], settings), { exitCode: 0, stdout: '[]' });
    service.kill('SIGTERM');
    t.match(await service, { exitCode: 0 });
  },
);
