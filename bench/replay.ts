// A registry of the fetched packages, out of memory: `node replay.ts <host> <port>`. The upstream of every server that is
// measured, and the bound of what any of them could do.
import { createServer, type ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { abbreviated, type Packument, printed } from '../test/support/upstream-packages.ts';
import { corpusPaths, readCorpus } from './corpus.ts';

type Kept = { readonly type: string; readonly body: Buffer; readonly gzipped: boolean };

const [host = '127.0.0.1', port = '0'] = process.argv.slice(2);
const base = `http://${host}:${port}`;
const abbreviatedType = 'application/vnd.npm.install-v1+json';
const kept = new Map<string, Kept>();
const names = new Set<string>();

for (const path of await corpusPaths()) {
  if (!path.endsWith('.tgz')) names.add(path.slice(1));
  else kept.set(path, { type: 'application/octet-stream', body: await readCorpus(path), gzipped: false });
}

const server = createServer(async (request, response) => {
  const path = decodeURIComponent((request.url ?? '/').split('?', 1)[0] ?? '/');
  if (path === '/-/ping')
    return send(response, 200, { type: 'application/json', body: Buffer.from('{}'), gzipped: false });
  const tarball = kept.get(path);
  if (tarball) return send(response, 200, tarball);
  const document = await documentAt(path, request.headers.accept?.includes(abbreviatedType) ?? false);
  const missing = { type: 'application/json', body: Buffer.from('{"error":"Not found"}'), gzipped: false };
  send(response, document ? 200 : 404, document ?? missing);
});
server.keepAliveTimeout = 60_000;
server.listen(Number(port), host, () => process.stdout.write('ready\n'));
process.on('SIGTERM', () => process.exit(0));

function send(response: ServerResponse, status: number, { type, body, gzipped }: Kept): void {
  const coding = gzipped ? { 'content-encoding': 'gzip' } : {};
  response.writeHead(status, { 'content-type': type, 'content-length': body.length, ...coding });
  response.end(body);
}

/** A packument of either form, or one version of it; made once. All who ask here take gzip. */
async function documentAt(path: string, short: boolean): Promise<Kept | null> {
  const key = `${short} ${path}`;
  const known = kept.get(key);
  if (known) return known;
  const [, name = '', version] = /^\/((?:@[^/]+\/)?[^/]+)(?:\/([^/]+))?$/.exec(path) ?? [];
  if (!names.has(name)) return null;
  const packument: Packument = JSON.parse((await readCorpus(`/${name}`)).toString());
  const found = version === undefined ? (short ? abbreviated(packument) : packument) : packument.versions[version];
  if (!found) return null;
  const body = gzipSync(printed(found, base), { level: 6 });
  const made = { type: short ? abbreviatedType : 'application/json', body, gzipped: true };
  kept.set(key, made);
  return made;
}
