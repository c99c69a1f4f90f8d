// Asks the host for what must last, and says what came of it instead of failing.
const asked = async (call) => {
  try {
    return { done: await call };
  } catch (error) {
    return { refused: error.code ?? error.message };
  }
};

export default {
  services: {
    tool: {
      put: (params, { host }) => asked(host.kv.put(params)),
      del: (params, { host }) => asked(host.kv.delete(params)),
      notify: (params, { host }) => asked(host.notify.send(params)),
      fetch: (params, { host }) => asked(host.http.fetch(params)),
    },
  },
};
