// Behind the text of drive.js: the artifact is one file.
/** More answers than may wait unread, 64 of 64 KiB, are refused with `rate-limited`: a plugin asks again. */
const persist = (ask) => ask().catch((error) => (error.code === 'rate-limited' ? persist(ask) : Promise.reject(error)));

export default {
  services: {
    bench: {
      echo: (payload) => payload,
      cpu: () => process.cpuUsage(),
      run: ({ key, count, inFlight }, { host }) =>
        drive(inFlight > 1 ? () => persist(() => host.kv.get({ key })) : () => host.kv.get({ key }), count, inFlight),
    },
  },
};
