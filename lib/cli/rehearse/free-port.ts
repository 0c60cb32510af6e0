import { createServer } from 'node:net';

/**
 * A port below those that the system gives to connections and to whoever listens on 0, so that nobody gets it by
 * chance before the server that it is meant for starts.
 */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (let tries = 0; ; tries += 1) {
    const port = 15_000 + Math.floor(Math.random() * 15_000);
    try {
      await listenOnce(port, host);
      return port;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || tries >= 50) throw error;
    }
  }
}

const listenOnce = (port: number, host: string): Promise<void> =>
  new Promise((done, fail) => {
    const server = createServer();
    server.once('error', fail);
    server.listen(port, host, () => server.close(() => done()));
  });
