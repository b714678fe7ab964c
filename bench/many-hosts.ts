// An origin's tarball route with 1,000 hosts in the rotation: `node many-hosts.ts <upstream> <data> <port>`. The hosts are
// views only, as a thousand of them would cost more than what is measured; all else is the origin's own.

import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { makeDoor } from '../src/core/door.ts';
import { NotFoundError } from '../src/core/errors.ts';
import { parseNpmRequest } from '../src/core/npm-path.ts';
import { RepeatWindow } from '../src/core/repeats.ts';
import { rendezvous } from '../src/core/selection.ts';
import { openDataDir } from '../src/io/data-dir.ts';
import { createHttpClient } from '../src/io/http-client.ts';
import { createHttpServer, newVia } from '../src/io/http-server.ts';
import { openOriginKeys } from '../src/io/key-file.ts';
import { createLogger } from '../src/io/logger.ts';
import { createMetrics } from '../src/io/metrics.ts';
import { openOriginStores } from '../src/io/stores.ts';
import { createUpstream } from '../src/io/upstream.ts';
import { createMarkMaker } from '../src/origin/hosts/host-marks.ts';
import { openRegistry } from '../src/origin/registry.ts';
import { createTarballAnswers } from '../src/origin/tarball-answer.ts';
import { madeHosts } from './made-hosts.ts';

const [registryUrl = '', data = '', port = '0'] = process.argv.slice(2);
const { dir } = await openDataDir(join(data, 'many-hosts'), 'origin');
const stores = await openOriginStores(dir);
const keys = await openOriginKeys(dir);
const logger = createLogger({ role: 'origin', level: 'warn' });
const metrics = createMetrics('origin');
const client = createHttpClient({ userAgent: 'benchmark', allowPrivate: true });
const upstream = createUpstream({ registry: registryUrl, tarballOrigins: [], client, via: newVia() });
const common = { dir, stores, keys, upstream, logger, metrics, now: Date.now };
const registry = await openRegistry({ ...common, freshnessMs: 86_400_000, neverAsk: [] });

const views = madeHosts(1000);
const marks = createMarkMaker(keys, Date.now);
const exchanges = new Map(views.map(({ id }) => [id, exchangeKey()]));
const tarballs = createTarballAnswers({
  ...registry,
  hosts: {
    views: () => views,
    markFor: (hostId, doorId, sha512) => marks.make({ hostId, doorId, sha512, exchange: exchanges.get(hostId) ?? '' }),
    strike: async () => undefined,
  },
  // Whoever asks for one tarball again and again would get it from the origin; here each request is to be the first.
  repeats: new RepeatWindow({ windowMs: 0 }),
  select: rendezvous,
  redirectUnverified: [],
  redirectTrusted: [],
  redirectNever: [],
  logger,
  metrics,
  now: Date.now,
  pause: setTimeout,
});

const door = makeDoor('redirect', `http://127.0.0.1:${port}`);
const server = createHttpServer({
  role: 'origin',
  logger,
  metrics,
  trustProxy: [],
  handler: async (incoming) => {
    const request = parseNpmRequest(incoming.method, incoming.url);
    incoming.kind = request.kind;
    if (request.kind === 'ping') return { status: 200, headers: {}, body: Buffer.from('{}') };
    if (request.kind !== 'tarball') throw new NotFoundError('only tarballs are served here');
    return tarballs.answer(incoming, request.name, request.file, door);
  },
});
await server.listen('127.0.0.1', Number(port));
process.on('SIGTERM', () => process.exit(0));

function exchangeKey(): string {
  const { publicKey } = generateKeyPairSync('x25519');
  return publicKey.export({ format: 'raw-public' }).toString('base64');
}
