/** A server of the federation, asked from outside over HTTP: content by its hash, and what else has a path there. */
import { IntegrityError, UpstreamError } from '../core/errors.ts';
import { sha256Hex } from '../core/hash.ts';
import type { HttpClient, HttpStream } from '../io/http-client.ts';

export type RemoteServer = {
  /** Base URL, without a slash at the end. */
  readonly url: string;
  readonly role: 'origin' | 'mirror';
  /**
   * Bytes with that SHA-256, by a path under `/-/federation/`; null if they are not there.
   * @throws IntegrityError for other bytes; UpstreamError and its kin
   */
  content(path: string, sha256: string, maxBytes: number): Promise<Uint8Array | null>;
  /** An answer whose body must be read or destroyed. */
  open(path: string, maxBytes: number): Promise<HttpStream>;
};

const HEALTH = '/-/healthz';
/** For one answer, from its start to its end. */
const TIMEOUT_MS = 60_000;
/** Room for what a server says of itself, and for its words where it has not what was asked for. */
const WORDS_BYTES_MAX = 64 * 1024;

/** @throws UpstreamError if it does not answer */
export async function openRemote(client: HttpClient, url: string): Promise<RemoteServer> {
  const ask = (path: string, maxBytes: number, what = `${path} of ${url}`) =>
    client.request(`${url}${path}`, {
      ...{ maxBytes, totalTimeoutMs: TIMEOUT_MS, what },
      headers: { 'accept-encoding': 'zstd, gzip' },
    });
  const role = roleIn((await ask(HEALTH, WORDS_BYTES_MAX, HEALTH)).body);
  return {
    url,
    role,
    async content(path, sha256, maxBytes) {
      const { status, body } = await ask(`/-/federation/${path}`, Math.max(maxBytes, WORDS_BYTES_MAX));
      if (status === 404) return null;
      if (status !== 200)
        throw new UpstreamError({ what: `${path} of ${url}`, reason: `it answered with status ${status}` });
      const actual = sha256Hex(body);
      if (actual === sha256) return body;
      throw new IntegrityError({ expected: `sha256:${sha256}`, actual: `sha256:${actual}`, source: url });
    },
    open: (path, maxBytes) => client.open(`${url}/-/federation/${path}`, { maxBytes, what: `${path} of ${url}` }),
  };
}

/** Whoever says that it is a mirror need not hold everything, and is not believed to. */
function roleIn(body: Uint8Array): RemoteServer['role'] {
  try {
    return JSON.parse(Buffer.from(body).toString()).role === 'origin' ? 'origin' : 'mirror';
  } catch {
    return 'mirror';
  }
}
