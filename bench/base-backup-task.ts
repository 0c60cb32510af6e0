import { openStore } from '../lib/aws/object-store.ts';
import { describeCluster } from '../lib/postgres/cluster.ts';
import { type Connection, connect } from '../lib/postgres/connection.ts';
import { storeBaseBackup } from '../tasks/base-backup-store.ts';

/** What the task of a base backup does with the server's files, in a process of its own: connection and prefix as JSON. */
const { connection, prefix } = JSON.parse(process.argv[2] ?? '{}') as { connection: Connection; prefix: string };
const client = await connect(connection, 'bench');
const cluster = await describeCluster(client);
await client.end();
const store = openStore('bench');
const { objects } = await storeBaseBackup({
  connection,
  cluster,
  store,
  prefix,
  id: 'bench',
  signal: new AbortController().signal,
});
const bytes = objects.reduce((sum, object) => sum + object.bytes, 0);
process.stdout.write(`${JSON.stringify({ bytes, peakMemory: process.resourceUsage().maxRSS * 1024 })}\n`);
