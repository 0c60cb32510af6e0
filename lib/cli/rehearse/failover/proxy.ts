import { connect, createServer, type Socket } from 'node:net';

/** A path between two hosts that can be cut, as a network is: nothing passes, and neither side is told. */
export interface CuttablePath {
  cut(): void;
  /** Connections of before the cut are gone by now; new ones pass. */
  mend(): void;
  close(): Promise<void>;
}

export async function openPath(from: { host: string; port: number }, to: string): Promise<CuttablePath> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let isCut = false;
  const server = createServer((near) => {
    const far = connect({ host: to, port: from.port });
    const pair = [near, far] as const;
    pairs.add(pair);
    for (const [a, b] of [pair, [far, near] as const]) {
      a.setNoDelay(true);
      a.on('data', (chunk) => {
        if (!isCut) b.write(chunk);
      });
      // A path that is cut carries no FIN and no RST either.
      a.on('error', () => {});
      a.on('close', () => {
        if (isCut) return;
        b.destroy();
        pairs.delete(pair);
      });
    }
  });
  await new Promise<void>((ready, fail) => {
    server.once('error', fail);
    server.listen(from.port, from.host, ready);
  });
  const destroyAll = () => {
    for (const sockets of pairs) for (const socket of sockets) socket.destroy();
    pairs.clear();
  };
  return {
    cut: () => {
      isCut = true;
    },
    mend: () => {
      destroyAll();
      isCut = false;
    },
    close: () =>
      new Promise((closed) => {
        destroyAll();
        server.close(() => closed());
      }),
  };
}
