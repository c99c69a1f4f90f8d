/** The least that NDJSON needs: no check, no cap, no deadline, one write a message. */
export function speakLines(input, output, onMessage) {
  let held = '';
  input.setEncoding('utf8');
  input.on('data', (text) => {
    held += text;
    for (let end = held.indexOf('\n'); end !== -1; end = held.indexOf('\n')) {
      const line = held.slice(0, end);
      held = held.slice(end + 1);
      onMessage(JSON.parse(line));
    }
  });
  return (message) => output.write(`${JSON.stringify(message)}\n`);
}

/** Requests and answers over anything that carries messages; used by both ends of the minimal contenders. */
export function createMinimalPeer(handle) {
  const pending = new Map();
  let nextId = 1;
  let send = () => {};
  return {
    sendWith(given) {
      send = given;
    },
    request(method, params) {
      const id = nextId++;
      return new Promise((resolve, reject) => {
        pending.set(id, { resolve, reject });
        send({ jsonrpc: '2.0', id, method, params });
      });
    },
    receive(message) {
      if (message.method === undefined) {
        const waiting = pending.get(message.id);
        pending.delete(message.id);
        if (message.error) waiting.reject(new Error(message.error.message));
        else waiting.resolve(message.result);
        return;
      }
      handle(message.method, message.params).then((result) => send({ jsonrpc: '2.0', id: message.id, result }));
    },
  };
}
