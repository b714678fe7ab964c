/** `verify URL`, tarballs: some of them, fetched and hashed. */
import { createHash } from 'node:crypto';
import { toHex } from '../core/bytes.ts';
import { ChunkHasher, chunkRoot } from '../core/chunks.ts';
import { IntegrityError, NotFoundError } from '../core/errors.ts';
import { formatPinned } from '../core/integrity.ts';
import { TARBALL_BYTES_MAX } from '../core/limits.ts';
import type { MemoryTables } from '../core/memory-tables.ts';
import type { Sample } from '../core/sample.ts';
import type { MeasuredRow } from '../core/tables.ts';
import { type Check, Tally } from '../core/verify-report.ts';
import { inParallel } from '../io/in-parallel.ts';
import type { RemoteServer } from './remote-server.ts';
import type { Listed } from './verify-url-index.ts';

/** Tarballs under way at the same time. */
const TARBALLS = 4;

/** Each has the hash that its version pins, and is what it was measured to be. Those that can't be had are counted. */
export async function verifyRemoteTarballs(
  servers: readonly RemoteServer[],
  tables: MemoryTables,
  sample: Sample<Listed>,
): Promise<Check> {
  const tally = new Tally('tarballs');
  const reasons = new Map<string, number>();
  await inParallel(sample.items(), TARBALLS, async (listed) => {
    await tally.attempt(`${listed.name}@${listed.version}`, async () => {
      const size = await checkTarball(servers, tables, listed);
      if (typeof size === 'string') return void reasons.set(size, (reasons.get(size) ?? 0) + 1);
      tally.count('tarball');
      tally.count('byte', size);
    });
  });
  for (const [reason, n] of reasons) tally.note(`not checked: ${n.toLocaleString('en')}, ${reason}`);
  const rest = sample.seen - sample.items().length;
  if (rest > 0) tally.note(`not looked at: ${rest.toLocaleString('en')} others; --tarballs N says how many to take`);
  return tally.result('each with the hash that its version pins');
}

/** Its size, or why it could not be looked at. */
async function checkTarball(
  servers: readonly RemoteServer[],
  tables: MemoryTables,
  { pinned }: Listed,
): Promise<number | string> {
  const measured = tables.get('measured', formatPinned(pinned));
  const sha512 = pinned.algorithm === 'sha512' ? pinned.hex : measured?.sha512;
  if (sha512 === undefined) return 'as only their sha1 is known so far, and servers give them out by sha512';
  let reason = 'as no server holds them';
  for (const server of servers) {
    const found = await fetchTarball(server, sha512);
    if (typeof found === 'string') {
      reason = found;
      continue;
    }
    mustMatch(found, pinned, measured, server.url);
    return found.size;
  }
  return reason;
}

type Hashed = { readonly sha1: string; readonly sha512: string; readonly size: number; readonly chunks: string };

/** What the bytes are, or why there are none. */
async function fetchTarball(server: RemoteServer, sha512: string): Promise<Hashed | string> {
  const { status, body } = await server.open(`blob/sha512/${sha512}`, TARBALL_BYTES_MAX);
  if (status === 200) return hashed(body);
  body.destroy();
  if (status === 404 && server.role === 'origin') {
    throw new NotFoundError('its origin does not know the tarball, though the log names it');
  }
  return status === 404 || status === 302
    ? 'as they are not held there'
    : `as the server answered with status ${status}`;
}

async function hashed(body: AsyncIterable<Uint8Array>): Promise<Hashed> {
  const [sha1, sha512] = [createHash('sha1'), createHash('sha512')];
  const chunks = new ChunkHasher();
  let size = 0;
  for await (const part of body) {
    sha1.update(part);
    sha512.update(part);
    chunks.update(part);
    size += part.length;
  }
  return { sha1: sha1.digest('hex'), sha512: sha512.digest('hex'), size, chunks: toHex(chunkRoot(chunks.digest())) };
}

function mustMatch(found: Hashed, pinned: Listed['pinned'], measured: MeasuredRow | null, source: string): void {
  const actual = found[pinned.algorithm];
  if (actual !== pinned.hex) {
    throw new IntegrityError({ expected: formatPinned(pinned), actual: `${pinned.algorithm}:${actual}`, source });
  }
  if (measured === null || (['sha512', 'size', 'chunks'] as const).every((fact) => found[fact] === measured[fact]))
    return;
  throw new IntegrityError({
    expected: `${measured.size} bytes, sha512:${measured.sha512}, chunk root ${measured.chunks}`,
    actual: `${found.size} bytes, sha512:${found.sha512}, chunk root ${found.chunks}`,
    source,
  });
}
