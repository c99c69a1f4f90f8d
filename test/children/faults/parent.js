// Where nothing keeps a plugin from starting processes, it does, and they hold its pipes.
import { spawn } from 'node:child_process';

const start = (detached) => spawn('/bin/sleep', ['1000'], { stdio: 'inherit', detached }).pid;

export default {
  services: {
    tool: {
      echo: (payload) => payload,
      scatter: () => [start(false), start(true)],
      leave: () => process.exit(3),
    },
  },
};
