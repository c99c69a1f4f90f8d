// Says everything that it can find out about where it runs.
import fs from 'node:fs';
import module from 'node:module';
import os from 'node:os';

const attempt = (look) => {
  try {
    return look();
  } catch (error) {
    return `${error.code} ${error.message}\n${error.stack}`;
  }
};
const files = [
  '/proc/self/environ',
  '/proc/self/cmdline',
  '/proc/self/mountinfo',
  '/proc/1/cmdline',
  '/proc/1/environ',
  '/etc/hostname',
  '.',
];
const look = () => ({
  env: { ...process.env },
  argv: process.argv,
  argv0: process.argv0,
  execPath: process.execPath,
  execArgv: process.execArgv,
  title: process.title,
  cwd: attempt(() => process.cwd()),
  url: import.meta.url,
  meta: { ...import.meta },
  stack: new Error('where am I').stack,
  nested: attempt(() => JSON.parse('{')),
  missing: attempt(() => fs.readFileSync('missing')),
  files: files.map((name) => attempt(() => fs.readFileSync(name, 'latin1'))),
  folders: ['/', '/rt', '/tmp', '/proc', '/home', '/run'].map((name) => attempt(() => fs.readdirSync(name))),
  links: ['/proc/self/exe', '/proc/self/cwd', '/proc/self/fd/0', '/proc/self/fd/3'].map((name) => attempt(() => fs.readlinkSync(name))),
  globalPaths: attempt(() => module.globalPaths),
  modules: attempt(() => Object.keys(module.createRequire('file:///x/')?.cache ?? {})),
  report: attempt(() => process.report.getReport()),
  user: attempt(() => os.userInfo()),
  home: attempt(() => os.homedir()),
  tmp: attempt(() => os.tmpdir()),
});

const tell = () => JSON.stringify(look(), null, 1);
for (const line of tell().split('\n')) console.error(line);

export default {
  services: {
    dump: {
      all: (_payload, context) => ({
        look: look(),
        context: { plugin: context.plugin, config: context.config, keys: Object.keys(context) },
      }),
      fail() {
        throw Object.assign(new Error(tell()), { code: 'conflict' });
      },
      crash() {
        setImmediate(() => {
          throw new Error('crashed as asked');
        });
        return null;
      },
      async ask(_payload, { host }) {
        const asked = await Promise.allSettled([
          host.kv.get({ key: '/etc' }),
          host.nothing.there({}),
          host.http.fetch({ url: 'file:///etc' }),
        ]);
        return asked.map(({ reason, value }) => (reason ? { ...reason, message: reason.message, stack: reason.stack } : value));
      },
    },
  },
  onStart: (context) => console.error(JSON.stringify(context)),
};
