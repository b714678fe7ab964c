/** The upstream registry over HTTP: what was asked, what came, and never more than is sound to believe. */
import { MalformedError, TooLargeError, UpstreamError } from '../core/errors.ts';
import { MANIFEST_BYTES_MAX, PACKUMENT_BYTES_MAX, TARBALL_BYTES_MAX, UPSTREAM_KEYS_BYTES_MAX } from '../core/limits.ts';
import { parseUpstreamKeys, type UpstreamKey } from '../core/upstream-signature.ts';
import type { Room } from './body-rooms.ts';
import type { HttpClient, HttpResponse, RequestOptions, StreamedBody } from './http-client.ts';
import { VIA_HEADER } from './http-server.ts';

export type UpstreamOptions = {
  /** Base URL, perhaps with a path, without a slash at its end. */
  readonly registry: string;
  /** Further origins that tarballs may come from, such as `https://cdn.example`. */
  readonly tarballOrigins: readonly string[];
  readonly client: HttpClient;
  /** This process's id (see http-server): how an upstream that is ourselves is recognised. */
  readonly via: string;
  /** How long the next piece of a tarball, or its beginning, may take. Default 30 s. */
  readonly tarballIdleMs?: number | undefined;
};

/** Validators of the answer that is held already. */
export type Validators = { readonly etag?: string | null; readonly lastModified?: string | null };

export type UpstreamPackument =
  | {
      readonly kind: 'fresh';
      readonly bytes: Uint8Array;
      readonly etag: string | null;
      readonly lastModified: string | null;
    }
  | { readonly kind: 'not-modified' }
  | Missing;
export type UpstreamManifest = { readonly kind: 'fresh'; readonly bytes: Uint8Array } | Missing;
/**
 * A 404 or 410. `page` is null where a registry says so, in JSON or without a body; else the media type of what came with
 * it, which may be by anybody on the way.
 */
export type Missing = { readonly kind: 'missing'; readonly page: string | null };
/** `size` as announced, or null. The body must be read or destroyed. */
export type UpstreamTarball = { readonly size: number | null; readonly body: StreamedBody };

/**
 * `missing` and null stand for 404 and 410 only. All methods throw UpstreamTimeoutError when time runs
 * out, and UpstreamError for whatever else is no sound answer: 401, 403, 429, 5xx, a page in place of JSON, a cut or
 * oversized body, a redirect to where we don't fetch from.
 */
export type Upstream = {
  readonly registry: string;
  /**
   * The full packument. Pass `validators` to be told `not-modified`.
   * @param timeoutMs for all of it, body included
   * @param room of its body
   */
  packument(name: string, validators: Validators | null, timeoutMs?: number, room?: Room): Promise<UpstreamPackument>;
  /** The document of one version, `/<name>/<version>`. */
  manifest(name: string, version: string, timeoutMs?: number): Promise<UpstreamManifest>;
  /** A tarball from a URL of the upstream's packuments; null if it is gone. Throws before connecting elsewhere than allowed. */
  tarball(url: string, signal?: AbortSignal): Promise<UpstreamTarball | null>;
  /** The keys that the upstream signs with, or null if it has no such document. */
  keys(): Promise<UpstreamKey[] | null>;
  /** Any other request, for the fixed list of paths that are passed through. `path` starts with a slash. */
  pass(method: string, path: string, options: Omit<RequestOptions, 'method' | 'follow'>): Promise<HttpResponse>;
  /** Whether `url` may be fetched as a tarball. */
  isAllowed(url: string): boolean;
  /** Throws UpstreamError if the upstream turns out to be this very process. Silent if it can't be asked now. */
  refuseOurselves(): Promise<void>;
};

const METADATA_TIMEOUT_MS = 60_000;
/** Everything that is learned waits for the keys, so a slow answer to this small question must not hold up all. */
const KEYS_TIMEOUT_MS = 5_000;
const TARBALL_TIMEOUT_MS = 15 * 60_000;
const TARBALL_IDLE_MS = 30_000;
const PING_TIMEOUT_MS = 3_000;
const PING_BYTES_MAX = 65_536;

/** Statuses by which registries without a document of keys say so. */
const NO_SUCH_ENDPOINT = new Set([400, 404, 405, 410, 501]);
const REASONS: Readonly<Record<number, string>> = {
  401: 'it wants credentials (401); this registry never sends any',
  403: 'it refuses to answer (403)',
  429: 'it limits our requests (429); try again later',
  508: 'it is this registry itself (508); name another with --upstream URL',
};

export function createUpstream(options: UpstreamOptions): Upstream {
  const { registry, tarballOrigins, client, via, tarballIdleMs = TARBALL_IDLE_MS } = options;
  const own = new URL(registry);
  const allowed = new Set([own.origin, ...tarballOrigins.map((url) => new URL(url).origin)]);
  const common = { 'accept-encoding': 'gzip', [VIA_HEADER]: via };
  const isOwn = (to: URL): boolean => to.origin === own.origin || isUpgradeOf(own, to);
  const isAllowed = (to: URL): boolean => allowed.has(to.origin) || isUpgradeOf(own, to);

  const ask = (path: string, options: Omit<RequestOptions, 'follow'>): Promise<HttpResponse> => {
    const headers = { ...common, ...options.headers };
    // Only a read may be sent again to where a redirect points.
    const isRead = (options.method ?? 'GET') === 'GET';
    return client.request(registry + path, { ...options, headers, ...(isRead ? { follow: isOwn } : {}) });
  };

  const json = async (path: string, what: string, options: JsonRequest): Promise<HttpResponse> => {
    const { headers = {}, totalTimeoutMs = METADATA_TIMEOUT_MS, maxBytes, room } = options;
    const accept = { accept: 'application/json', ...headers };
    return ask(path, { headers: accept, maxBytes, room, what, totalTimeoutMs, headersTimeoutMs: totalTimeoutMs });
  };

  return {
    registry,
    packument: async (name, validators, timeoutMs, room) => {
      const what = `packument of ${name}`;
      const headers = conditional(validators);
      const options = { headers, maxBytes: PACKUMENT_BYTES_MAX, room, ...timeout(timeoutMs) };
      const answer = await json(`/${pathOf(name)}`, what, options);
      if (isMissing(answer)) return missing(answer);
      if (answer.status === 304 && Object.keys(headers).length > 0) return { kind: 'not-modified' };
      const bytes = documentOf(answer, what);
      return {
        kind: 'fresh',
        bytes,
        etag: answer.headers.etag ?? null,
        lastModified: answer.headers['last-modified'] ?? null,
      };
    },
    manifest: async (name, version, timeoutMs) => {
      const what = `version ${version} of ${name}`;
      const path = `/${pathOf(name)}/${encodeURIComponent(version)}`;
      const answer = await json(path, what, { maxBytes: MANIFEST_BYTES_MAX, ...timeout(timeoutMs) });
      return isMissing(answer) ? missing(answer) : { kind: 'fresh', bytes: documentOf(answer, what) };
    },
    tarball: async (url, signal) => {
      const target = upgraded(url, own);
      if (target === null || !isAllowed(target)) throw notAllowed(url);
      return openTarball(client, target.href, {
        headers: { [VIA_HEADER]: via },
        follow: isAllowed,
        headersTimeoutMs: tarballIdleMs,
        idleTimeoutMs: tarballIdleMs,
        ...(signal === undefined ? {} : { signal }),
      });
    },
    keys: async () => {
      const what = "the upstream's signing keys";
      const options = { maxBytes: UPSTREAM_KEYS_BYTES_MAX, totalTimeoutMs: KEYS_TIMEOUT_MS };
      const answer = await json('/-/npm/v1/keys', what, options);
      return NO_SUCH_ENDPOINT.has(answer.status) ? null : parseKeys(documentOf(answer, what), what);
    },
    pass: (method, path, options) => ask(path, { ...options, method }),
    isAllowed: (url) => {
      const target = upgraded(url, own);
      return target !== null && isAllowed(target);
    },
    refuseOurselves: async () => {
      const options = { what: 'the upstream', maxBytes: PING_BYTES_MAX, totalTimeoutMs: PING_TIMEOUT_MS };
      const status = await ask('/-/ping', options).then(
        (answer) => answer.status,
        () => null,
      );
      if (status === 508) throw statusError(508, options.what);
    },
  };
}

type JsonRequest = Pick<RequestOptions, 'headers' | 'maxBytes' | 'totalTimeoutMs' | 'room'>;

async function openTarball(
  client: HttpClient,
  url: string,
  request: Omit<RequestOptions, 'maxBytes'>,
): Promise<UpstreamTarball | null> {
  // Clients are told, and a query may be what a private server signs its URLs with.
  const what = `tarball ${url.replace(/[?#].*$/s, '')}`;
  const bounds = { maxBytes: TARBALL_BYTES_MAX, totalTimeoutMs: TARBALL_TIMEOUT_MS };
  const { status, headers, body } = await client.open(url, { ...request, ...bounds, what });
  const length = headers['content-length'];
  if (status === 200) return { size: length === undefined ? null : Number(length), body };
  body.destroy();
  if (status === 404 || status === 410) return null;
  throw statusError(status, what);
}

/** `@scope%2fname`, the spelling that every registry understands. */
function pathOf(name: string): string {
  return encodeURIComponent(name).replace(/^%40/, '@').replace('%2F', '%2f');
}

function conditional(validators: Validators | null): Record<string, string> {
  const { etag, lastModified } = validators ?? {};
  return {
    ...(etag ? { 'if-none-match': etag } : {}),
    ...(lastModified ? { 'if-modified-since': lastModified } : {}),
  };
}

function timeout(totalTimeoutMs: number | undefined): { totalTimeoutMs?: number } {
  return totalTimeoutMs === undefined ? {} : { totalTimeoutMs };
}

function isMissing({ status }: HttpResponse): boolean {
  return status === 404 || status === 410;
}

function missing({ headers, body }: HttpResponse): Missing {
  const type = headers['content-type'] ?? 'application/octet-stream';
  const isOwn = isJson(type) || ['', '{', '[', '"'].includes(firstOf(body));
  return {
    kind: 'missing',
    page: isOwn
      ? null
      : type
          .replace(/\s*;.*$/s, '')
          .toLowerCase()
          .slice(0, 80),
  };
}

const isJson = (type: string): boolean => /\bjson\b/i.test(type);

/** The first character that is no white space; empty if there is none among so many. */
const firstOf = (body: Uint8Array): string =>
  Buffer.from(body.subarray(0, 1_024)).toString('latin1').trimStart().charAt(0);

/**
 * The body of a 200 that looks like a whole JSON object. A page of a proxy or a sign-in form is often sent with status
 * 200 and must not be taken for metadata.
 */
function documentOf({ status, headers, body }: HttpResponse, what: string): Uint8Array {
  if (status !== 200) throw statusError(status, what);
  const type = headers['content-type'];
  if (type !== undefined && !isJson(type)) {
    throw new UpstreamError({ what, reason: `it answered ${type.slice(0, 80)} in place of JSON` });
  }
  const last = Buffer.from(body.subarray(-1_024)).toString('latin1').trimEnd().at(-1);
  if (firstOf(body) !== '{' || last !== '}')
    throw new UpstreamError({ what, reason: 'it answered something that is no JSON object' });
  return body;
}

/** The error for a status that is no answer. */
export function statusError(status: number, what: string): UpstreamError {
  return new UpstreamError({ what, reason: REASONS[status] ?? `it answered with status ${status}` });
}

function parseKeys(bytes: Uint8Array, what: string): UpstreamKey[] {
  try {
    return parseUpstreamKeys(bytes);
  } catch (cause) {
    if (!(cause instanceof MalformedError || cause instanceof TooLargeError)) throw cause;
    throw new UpstreamError({ what, reason: cause.message }, { cause });
  }
}

/** From http to https of the same host: more safety, same server. */
function isUpgradeOf(own: URL, to: URL): boolean {
  return own.protocol === 'http:' && to.protocol === 'https:' && to.hostname === own.hostname;
}

/** Old packuments name `http` URLs on hosts that speak https; npm asks those over https, too. */
function upgraded(url: string, own: URL): URL | null {
  const target = URL.parse(url);
  if (target === null || !/^https?:$/.test(target.protocol) || target.username || target.password) return null;
  if (own.protocol === 'https:' && target.protocol === 'http:' && target.hostname === own.hostname && !target.port) {
    target.protocol = 'https:';
  }
  return target;
}

function notAllowed(url: string): UpstreamError {
  const origin = URL.parse(url)?.origin;
  const hint = origin === undefined || origin === 'null' ? '' : `; --upstream-tarballs ${origin} would allow it`;
  return new UpstreamError({ what: 'tarball', reason: `its URL is on a server that we don't fetch from${hint}` });
}
