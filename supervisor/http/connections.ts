import type { Socket } from 'node:net';

/** This part of the places is left to those who came last and have asked nothing yet: time to ask, whoever else is there. */
const newcomersPart = 1 / 8;

/**
 * Who goes when all places are taken. Anybody who reaches the port can open connections, so a new one is not refused for them: first goes the
 * oldest that never asked anything, then the oldest that asked without a valid token. One that had a token keeps its place, in use or not.
 */
export function createConnections(most: number, onFull: (gone: Socket) => void) {
  const silent = new Set<Socket>(); // a Set keeps the order of insertion: the oldest stands first
  const strangers = new Set<Socket>();
  const trusted = new Set<Socket>();
  const newcomers = Math.ceil(most * newcomersPart);

  function makeRoom(): void {
    const from = silent.size > newcomers || strangers.size === 0 ? silent : strangers;
    for (const oldest of from) {
      onFull(oldest);
      return leave(oldest.destroy());
    }
  }

  function leave(socket: Socket): void {
    silent.delete(socket);
    strangers.delete(socket);
    trusted.delete(socket);
  }

  return {
    opened(socket: Socket): void {
      silent.add(socket);
      socket.once('close', () => leave(socket));
      if (silent.size + strangers.size + trusted.size > most) makeRoom();
    },
    /** A whole head of a request came. For those who did so before it costs one look into a set. */
    asked(socket: Socket): void {
      if (silent.delete(socket)) strangers.add(socket);
    },
    /** One of its requests had a valid token. */
    trust(socket: Socket): void {
      if (strangers.delete(socket)) trusted.add(socket);
    },
  };
}
