// Preloaded into a service: on SIGUSR2 it tells, as a line of its log, what has been loaded so far.
import { registerHooks } from 'node:module';
import { isMainThread } from 'node:worker_threads';

const urls = [];
if (isMainThread) {
  registerHooks({
    load(url, context, next) {
      urls.push(url);
      return next(url, context);
    },
  });
  process.on('SIGUSR2', () => {
    const packages = urls.map((url) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1]).filter(Boolean);
    const own = urls.map((url) => /\/(supervisor\/.*)$/.exec(url)?.[1]).filter(Boolean);
    const builtin = process.moduleLoadList.map((name) => name.replace('NativeModule ', ''));
    process.stdout.write(`${JSON.stringify({ event: 'test.modules', packages: [...new Set(packages)], own, builtin })}\n`);
  });
}
