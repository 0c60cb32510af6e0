import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createServer } from 'node:tls';

/**
 * TLS in front of a server that speaks HTTP: programs that know S3 by https alone can use it, and what encryption costs a
 * client is counted. Arguments: key, certificate, port behind it. The parent is sent the port.
 */
const [key = '', certificate = '', behind = ''] = process.argv.slice(2);
const server = createServer({ key: readFileSync(key), cert: readFileSync(certificate) }, (front) => {
  const back = connect(Number(behind), '127.0.0.1');
  front.pipe(back).pipe(front);
  const end = () => {
    front.destroy();
    back.destroy();
  };
  for (const socket of [front, back]) socket.on('error', end).on('close', end);
});
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as { port: number }).port }));
process.on('disconnect', () => process.exit());
