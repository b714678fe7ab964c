// All tarballs of the application over as many connections as npm opens, each kept open, without unpacking anything:
// `node fetch-all.ts <registry> <local address>` prints what it took, as JSON.
import { Agent, get, type IncomingMessage } from 'node:http';
import { npmRequest } from './client.ts';
import { type CorpusTarball, corpusTarballs } from './corpus.ts';
import type { Target } from './load.ts';

/** npm's `maxsockets`, for each host. */
const CONNECTIONS = 15;

export type Fetched = { readonly seconds: number; readonly tarballs: number; readonly redirected: number };

const [registry = '', localAddress = ''] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
const tarballs = await corpusTarballs();
const started = performance.now();
const hops = await Promise.all(tarballs.map((tarball) => fetched(tarball)));
const seconds = (performance.now() - started) / 1000;
const redirected = hops.filter((count) => count > 0).length;
process.stdout.write(JSON.stringify({ seconds, tarballs: tarballs.length, redirected } satisfies Fetched));
process.exit();

/** How often it was sent elsewhere. */
async function fetched(tarball: CorpusTarball): Promise<number> {
  let { url, headers } = npmRequest(registry, tarball);
  for (let count = 0; ; count++) {
    const { statusCode, headers: answer } = await emptied({ url, headers });
    if (statusCode === 200) return count;
    if (statusCode !== 302 || answer.location === undefined) throw new Error(`${url} answered ${statusCode}`);
    url = answer.location;
  }
}

/** An answer whose body was thrown away. @throws Error if that ends early */
function emptied({ url, headers }: Target): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent, headers, localAddress }, (answer) => {
      answer.on('end', () => resolve(answer)).on('error', reject);
      answer.resume();
    });
    request.on('error', reject);
  });
}
