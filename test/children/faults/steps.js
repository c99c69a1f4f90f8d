// Stops at any step of the protocol that a test names, and says on stderr when it is there.
import { writeSync } from 'node:fs';

const never = () => new Promise(() => {});
const spin = () => {
  for (;;);
};

export default {
  services: {
    tool: {
      echo: (payload) => payload,
      hang(payload) {
        console.error(`hanging ${payload}`);
        return never();
      },
      spin() {
        console.error('spinning');
        spin();
      },
      deafen() {
        process.removeAllListeners('SIGTERM').on('SIGTERM', () => console.error('ignored SIGTERM'));
        return 'deaf';
      },
      async put({ key, value }, { host }) {
        const { revision } = await host.kv.put({ key, value });
        console.error(`put ${key}`);
        return revision;
      },
      progress(payload, { progress }) {
        progress(payload);
        return never();
      },
      heedless(payload, { signal }) {
        signal.addEventListener('abort', () => console.error(`told to cancel ${payload}`));
        console.error(`hanging ${payload}`);
        return never();
      },
      halfLine() {
        writeSync(1, '{"jsonrpc":"2.0","id":1,');
        console.error('half a line is out');
        return never();
      },
    },
  },
  onStart({ config }) {
    console.error('starting');
    return config.hold === 'start' ? never() : undefined;
  },
  onShutdown({ config }) {
    console.error('shutting down');
    if (config.hold === 'shutdown') return never();
    // Before it reads again: what it is told next, the end of its input first of all, must find it deaf.
    if (config.hold === 'term') setImmediate(spin);
    return undefined;
  },
};
