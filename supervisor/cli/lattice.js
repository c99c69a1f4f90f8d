#!/usr/bin/env node
/*
 * The lattice command. It stays plain and old-fashioned (no static import, nothing after ES2015 but import()), so that an old Node can parse
 * it and say what it lacks, instead of stumbling over the first type annotation. Everything else is in entry.ts.
 */
const needed = 26;
const major = Number(process.versions.node.split('.')[0]);

function fail(error) {
  process.stderr.write(`lattice: ${error.message || String(error)}\n`);
  process.exitCode = 1;
}

/** The `node` package that this project depends on, beside us or in a folder above. */
function findNode(fs, path, from) {
  for (let folder = from; ; folder = path.dirname(folder)) {
    const candidate = path.join(folder, 'node_modules', 'node', 'bin', 'node');
    if (fs.existsSync(candidate)) return candidate;
    if (path.dirname(folder) === folder) return null;
  }
}

/** Hands over to the right Node as a child that gets our signals and whose end is ours. */
function handOver(spawn, binary, args) {
  const child = spawn(binary, args, { stdio: 'inherit' });
  const signals = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };
  Object.keys(signals).forEach((signal) => {
    process.on(signal, () => {
      child.kill(signal);
    });
  });
  child.on('error', fail);
  child.on('exit', (code, signal) => {
    process.exitCode = code === null ? 128 + (signals[signal] || 9) : code;
  });
}

function start(fs, path, spawn) {
  const self = fs.realpathSync(process.argv[1]);
  if (path.basename(process.argv[1]) === 'create-lattice-plugin') process.argv.splice(2, 0, 'new'); // its other name, for npx and the like
  const folder = path.dirname(self);
  // The packed form is JavaScript in a folder of its own, because Node strips no types below node_modules.
  if (major >= needed)
    return fs.existsSync(path.join(folder, 'entry.ts')) ? import('./entry.ts') : import('../../dist/supervisor/cli/entry.js');
  const binary = findNode(fs, path, folder);
  if (binary !== null) return handOver(spawn, binary, [self].concat(process.argv.slice(2)));
  throw new Error(
    `this is Node ${process.versions.node}, but Node ${needed} or newer is needed.\n` +
      `Install the project's own one with \`npm ci\` in its folder, or install Node ${needed} from https://nodejs.org/.`,
  );
}

// biome-ignore lint/style/useNodejsImportProtocol: an old Node does not know it
Promise.all([import('fs'), import('path'), import('child_process')])
  .then((modules) => start(modules[0].default, modules[1].default, modules[2].default.spawn))
  .catch(fail);
