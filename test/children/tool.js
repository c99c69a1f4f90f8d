// Does what it is told, good or bad: one plugin for the tests that need a running one.
const pause = (delayMs) => new Promise((resolve) => setTimeout(resolve, delayMs));

export default {
  services: {
    tool: {
      echo: (payload) => payload,
      put: ({ key, value }, { host }) => host.kv.put({ key, value }),
      get: ({ key }, { host }) => host.kv.get({ key }),
      notify: (message, { host }) => host.notify.send(message),
      fetch: ({ url }, { host }) => host.http.fetch({ url, timeout_ms: 30_000 }),
      hang: () => {
        console.error('hanging');
        return new Promise(() => {});
      },
      spin: () => {
        console.error('spinning');
        for (;;);
      },
      deafen: () => {
        process.removeAllListeners('SIGTERM').on('SIGTERM', () => {});
        return 'deaf';
      },
    },
  },
  async onStart({ config }) {
    console.error('starting');
    await pause(config.start_ms ?? 0);
  },
  async onShutdown({ config }) {
    console.error('shutting down');
    await pause(config.shutdown_ms ?? 0);
  },
};
