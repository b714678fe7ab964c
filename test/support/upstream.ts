import { createHash } from 'node:crypto';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { CaptureError } from './capture.ts';
import { type Answer, type Fault, send, sendFaulty } from './upstream-faults.ts';
import { abbreviated, printed, UpstreamPackages } from './upstream-packages.ts';
import { createSigner, type RegistryKey } from './upstream-signing.ts';

export interface SeenRequest {
  readonly method: string;
  /** Decoded, without the query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A registry on loopback that serves real packages, and lies and breaks when a test wants it to. */
export interface Upstream {
  /** Base URL without a slash at the end; stays the same over `down` and `up`. */
  readonly url: string;
  /** What tarball URLs start with; the upstream's own URL unless a test puts something in front. */
  tarballBase: string;
  readonly packages: UpstreamPackages;
  /** What `/-/npm/v1/keys` answers; tests may add keys or let one expire. */
  readonly keys: RegistryKey[];
  /** Advisories by package name, as the bulk endpoint gives them. */
  readonly advisories: Record<string, object[]>;
  /** Everything that was asked, oldest first. */
  readonly requests: readonly SeenRequest[];
  /** How often paths that match were asked for. */
  count(path: RegExp): number;
  /** Breaks answers to paths that match, until `mend`. The latest fault that matches counts. */
  fault(path: RegExp, fault: Fault): void;
  mend(): void;
  /** Refuses connections, and drops those that are open. */
  down(): Promise<void>;
  up(): Promise<void>;
  close(): Promise<void>;
}

export interface UpstreamOptions {
  /** Whether versions carry registry signatures; they do by default. */
  readonly signed?: boolean;
  /** Whether it has real packages besides those that a test makes; it does by default. */
  readonly real?: boolean;
}

const abbreviatedType = 'application/vnd.npm.install-v1+json';

/** Starts an upstream on a free port of 127.0.0.1; it ends with the test. */
export async function startUpstream(t: Pick<TestContext, 'after'>, options: UpstreamOptions = {}): Promise<Upstream> {
  const signer = createSigner();
  const packages = new UpstreamPackages(options.real ?? true);
  if (options.signed ?? true) packages.sign(signer);
  const requests: SeenRequest[] = [];
  const faults: { path: RegExp; fault: Fault }[] = [];
  const server = createServer((request, response) => serve(request, response));
  const { port } = await listen(server, 0);
  const upstream: Upstream = {
    url: `http://127.0.0.1:${port}`,
    tarballBase: `http://127.0.0.1:${port}`,
    packages,
    keys: [signer.key],
    advisories: {},
    requests,
    count: (path) => requests.filter((request) => path.test(request.path)).length,
    fault: (path, fault) => faults.unshift({ path, fault }),
    mend: () => faults.splice(0),
    down: () => close(server),
    up: async () => void (await listen(server, port)),
    close: () => close(server),
  };

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const seen = await readRequest(request);
    requests.push(seen);
    const answer = await answerTo(upstream, seen);
    const fault = faults.find(({ path }) => path.test(seen.path))?.fault;
    if (fault) await sendFaulty(fault, answer, response);
    else send(answer, response);
  }

  t.after(() => upstream.close());
  return upstream;
}

async function answerTo(upstream: Upstream, request: SeenRequest): Promise<Answer> {
  try {
    return (await special(upstream, request)) ?? (await packageAnswer(upstream, request));
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error;
    return json(request, 504, { error: `not captured yet, and the outside is away: ${error.message}` });
  }
}

/** The paths that belong to the registry and not to a package. */
async function special({ keys, advisories, packages }: Upstream, request: SeenRequest): Promise<Answer | undefined> {
  const { path } = request;
  if (!path.startsWith('/-/')) return undefined;
  if (path === '/-/ping') return json(request, 200, {});
  if (path === '/-/whoami') return json(request, 401, { error: 'not logged in' });
  if (path === '/-/npm/v1/keys') return json(request, 200, { keys });
  if (path === '/-/v1/search')
    return json(request, 200, { objects: [searchHit], total: 1, time: '2026-01-01T00:00:00.000Z' });
  if (path === '/-/npm/v1/security/advisories/bulk') return json(request, 200, advisoriesFor(advisories, request.body));
  const tagged = path.match(/^\/-\/package\/(.+)\/dist-tags$/);
  if (tagged) return json(request, 200, (await packages.packument(tagged[1] ?? ''))?.['dist-tags'] ?? {});
  const attested = path.match(/^\/-\/npm\/v1\/attestations\/(.+)@([^@/]+)$/);
  const known = attested && (await packages.packument(attested[1] ?? ''))?.versions[attested[2] ?? ''];
  return known ? json(request, 200, { attestations: [] }) : json(request, 404, { error: 'Not found' });
}

const searchHit = {
  package: {
    name: 'is-odd',
    version: '3.0.1',
    description: 'Tells odd numbers',
    keywords: [],
    links: {},
    maintainers: [],
  },
  score: { final: 1, detail: { quality: 1, popularity: 1, maintenance: 1 } },
  searchScore: 1,
};

/** Asked with versions by name; here every version of a listed name is affected. */
function advisoriesFor(advisories: Record<string, object[]>, body: string): object {
  const asked: object = body.startsWith('{') ? JSON.parse(body) : {};
  return Object.fromEntries(Object.entries(advisories).filter(([name]) => name in asked));
}

async function packageAnswer({ packages, tarballBase }: Upstream, request: SeenRequest): Promise<Answer> {
  const [, name = '', rest = ''] = request.path.match(/^\/((?:@[^/]+\/)?[^/]+)(?:\/(.*))?$/) ?? [];
  const file = name.slice(name.indexOf('/') + 1);
  if (rest.startsWith(`-/${file}-`) && rest.endsWith('.tgz')) {
    const bytes = await packages.tarball(name, rest.slice(`-/${file}-`.length, -'.tgz'.length));
    return bytes ? answer(request, 200, 'application/octet-stream', bytes) : notFound(request);
  }
  const packument = await packages.packument(name);
  if (!packument) return notFound(request);
  if (rest) return version(request, packument.versions[packument['dist-tags'][rest] ?? rest], tarballBase);
  const short = request.headers.accept?.includes(abbreviatedType);
  const text = printed(short ? abbreviated(packument) : packument, tarballBase);
  return answer(request, 200, short ? abbreviatedType : 'application/json', Buffer.from(text));
}

function version(request: SeenRequest, manifest: object | undefined, base: string): Answer {
  if (!manifest) return notFound(request);
  return answer(request, 200, 'application/json', Buffer.from(printed(manifest, base)));
}

function notFound(request: SeenRequest): Answer {
  return json(request, 404, { error: 'Not found' });
}

function json(request: SeenRequest, status: number, value: object): Answer {
  return answer(request, status, 'application/json', Buffer.from(JSON.stringify(value)));
}

/** A validator, a 304 to who has it already, and gzip for text, as registries do. */
function answer(request: SeenRequest, status: number, type: string, body: Buffer): Answer {
  const etag = `"${createHash('sha1').update(body).digest('hex')}"`;
  if (status === 200 && request.headers['if-none-match'] === etag)
    return { status: 304, headers: { etag }, body: Buffer.alloc(0) };
  const headers = { 'content-type': type, etag, vary: 'accept, accept-encoding' };
  const zip = type.includes('json') && /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''));
  return zip
    ? { status, headers: { ...headers, 'content-encoding': 'gzip' }, body: gzipSync(body) }
    : { status, headers, body };
}

async function readRequest(request: IncomingMessage): Promise<SeenRequest> {
  const body: Buffer[] = [];
  for await (const chunk of request) body.push(chunk);
  const path = decodeURIComponent((request.url ?? '/').split('?')[0] ?? '/');
  // npm sends its bulk questions gzipped.
  const plain = request.headers['content-encoding'] === 'gzip' ? gunzipSync(Buffer.concat(body)) : Buffer.concat(body);
  return { method: request.method ?? 'GET', path, headers: request.headers, body: plain.toString() };
}

function listen(server: Server, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve(server.address() as AddressInfo);
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
