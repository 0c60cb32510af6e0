import { createReadStream, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { getStream, openStore, putStream } from '../../lib/aws/object-store.ts';
import { partBytesFor } from '../../lib/core/keys.ts';

/**
 * In the place of `aws s3 cp` where that is not installed: `transfer.ts put|get <bucket> <key>` by stdin and stdout, and
 * `transfer.ts put-folder <bucket> <prefix> <folder>`.
 */
const [way, bucket = '', key = '', folder = ''] = process.argv.slice(2);
const store = openStore(bucket);
const put = (to: string, from: Readable) => putStream(store, to, from, { partBytes: partBytesFor(0) });
if (way === 'put') await put(key, process.stdin);
else if (way === 'get') await pipeline((await getStream(store, key)) as Readable, process.stdout);
else for (const name of readdirSync(folder)) await put(`${key}/${name}`, createReadStream(join(folder, name)));
