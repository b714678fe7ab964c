/** Opens an organisation's own door at a mirror, over the packages that it keeps. */
import { makeDoor } from '../../core/door.ts';
import { FORWARD_BODY_BYTES_MAX } from '../../core/limits.ts';
import type { BlobStore } from '../../io/blob-store.ts';
import type { HttpClient } from '../../io/http-client.ts';
import type { Handler } from '../../io/http-server.ts';
import type { Logger } from '../../io/logger.ts';
import type { Metrics } from '../../io/metrics.ts';
import type { BlobServer } from '../blobs/serve-blob.ts';
import type { Tombstones } from '../blobs/tombstones.ts';
import type { LogFollower } from '../log/log-follower.ts';
import type { OriginTrust } from '../membership/origin-keys.ts';
import type { MirrorConfig } from '../options.ts';
import { followPackages } from '../packages/follow-packages.ts';
import { followVersions } from '../packages/follow-versions.ts';
import type { Packages } from '../packages/open-packages.ts';
import { createOriginLooks } from '../packages/origin-looks.ts';
import { createMirrorDoor } from './door.ts';
import { createDoorHome } from './door-home.ts';
import { createForward } from './forward.ts';

const FRESHNESS_MS = 300_000;

export function openMirrorDoor(parts: {
  config: Pick<MirrorConfig, 'origin' | 'freshnessMs' | 'upstream'>;
  door: string;
  client: HttpClient;
  packages: Packages;
  follower: LogFollower;
  trust: OriginTrust;
  metrics: Metrics;
  tarballs: BlobStore;
  tombstones: Tombstones;
  blobs: BlobServer;
  /** The paths of every mirror. */
  routes: Handler;
  logger: Logger;
  now: () => number;
  /** The bound port, for the doors that loopback addresses are without configuration. */
  port: () => number;
}): Handler {
  const { config, client, follower, logger, metrics, now } = parts;
  const { stores, heads, contents, kept, forms } = parts.packages;
  const { origin, upstream = null } = config;
  const freshnessMs = config.freshnessMs ?? FRESHNESS_MS;
  const common = { origin: createOriginLooks({ origin, client, logger, now }), follower, freshnessMs, logger, now };
  const doors = [makeDoor('self', parts.door)];
  logger.warn(
    { door: parts.door, origin },
    'this mirror keeps a door: it sees the credentials of its users, and passes them on to its origin',
  );
  return createMirrorDoor({
    doors: () => ({ doors, port: parts.port() }),
    packages: followPackages({ ...common, stores, heads, contents, metrics }),
    versions: followVersions({ ...common, metadata: stores.metadata, content: parts.packages.content }),
    kept,
    forms,
    stores,
    tarballs: parts.tarballs,
    tombstones: parts.tombstones,
    blobs: parts.blobs,
    origin,
    upstream,
    client,
    forward: createForward({ origin, client, bodyBytesMax: FORWARD_BODY_BYTES_MAX }),
    home: createDoorHome({ origin, client, follower, trust: parts.trust }),
    mirror: parts.routes,
  });
}
