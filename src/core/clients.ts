/**
 * The table of clients: what each was seen to do, as data that drives the redirect decision and the tests. How it was
 * measured, and the rest of what was seen, stands in docs/clients.md.
 */

/** When a client checks a tarball against a hash that it got from somewhere else than the tarball's server. */
export type Verifies =
  /** Always; a lockfile entry without a hash is refused. */
  | 'always'
  /** Exactly when it sends `pacote-integrity` along, and then against that value. */
  | 'with pacote-integrity'
  /** If its lockfile or the packument gave it a hash; the request doesn't tell. */
  | 'without a sign'
  /** Not on a first install; only against a checksum of its own that an existing lockfile holds. */
  | 'not on a first install'
  | 'unknown';

export type Client = {
  /** Stable; what the operator's `redirectUnverified`, `redirectTrusted` and `redirectNever` name, and what counts are kept by. */
  readonly id: string;
  /** Name and versions as people write them. */
  readonly title: string;
  /** On `User-Agent`. Rows are tried in order. */
  readonly agent: RegExp;
  readonly verifies: Verifies;
  /**
   * What lets the client recover when the bytes behind a redirect turn out wrong midway: `fill` the body to its length
   * (npm asks the door once more upon a wrong hash, and never after a cut), or `cut` it (the others ask again upon a cut,
   * and give up upon a wrong hash).
   */
  readonly onBadBody: 'fill' | 'cut';
  /** Which form of a packument it asks for. */
  readonly metadata: 'full' | 'abbreviated' | 'not measured';
  /** What its lockfile keeps of a tarball's URL: the door's URL, or no host when the URL can be derived. */
  readonly lockfile: 'door' | 'no host' | 'not measured';
  /** Swaps the public registry's host in a tarball's URL for the configured registry (npm's `replace-registry-host`). */
  readonly swapsPublicHost?: true;
  /**
   * Versions, by `User-Agent`, that send the token of the registry to a host which redirects once more to itself: they strip it
   * at a change of host only, and begin again from the first request at each redirect.
   */
  readonly resendsToken?: RegExp;
};

const UNKNOWN: Client = {
  id: 'unknown',
  title: 'any other client',
  agent: /^/,
  verifies: 'unknown',
  onBadBody: 'cut',
  metadata: 'not measured',
  lockfile: 'not measured',
};

const NPM: Client = {
  id: 'npm',
  title: 'npm 7 and later',
  agent: /^npm\/\d/,
  verifies: 'with pacote-integrity',
  onBadBody: 'fill',
  // Abbreviated up to npm 10.3.
  metadata: 'full',
  lockfile: 'door',
  swapsPublicHost: true,
};

/** The last row fits everything. pnpm and yarn 1 also have `npm/?` in their agent, so only its beginning counts. */
export const CLIENTS: readonly Client[] = [
  {
    id: 'npm-6',
    title: 'npm 6 and older',
    agent: /^npm\/[1-6]\./,
    verifies: 'without a sign',
    onBadBody: 'fill',
    metadata: 'abbreviated',
    lockfile: 'door',
  },
  NPM,
  {
    id: 'pnpm',
    title: 'pnpm',
    agent: /^pnpm\/\d/,
    verifies: 'always',
    onBadBody: 'cut',
    metadata: 'abbreviated',
    lockfile: 'no host',
    // 12, which is another program than those before.
    resendsToken: /^pnpm\/(?!(?:\d|1[01])\.)/,
  },
  {
    id: 'yarn-1',
    title: 'yarn 1',
    agent: /^yarn\/[01]\./,
    verifies: 'without a sign',
    onBadBody: 'cut',
    metadata: 'abbreviated',
    lockfile: 'door',
  },
  {
    id: 'yarn-4',
    title: 'yarn 2 and later',
    // Its HTTP library's name; the word yarn does not occur.
    agent: /^got \(/,
    verifies: 'not on a first install',
    onBadBody: 'cut',
    metadata: 'full',
    lockfile: 'no host',
  },
  {
    id: 'bun',
    title: 'bun',
    agent: /^Bun\/\d/,
    verifies: 'without a sign',
    onBadBody: 'cut',
    metadata: 'abbreviated',
    lockfile: 'door',
  },
  {
    id: 'deno',
    title: 'deno',
    agent: /^Deno\/\d/,
    verifies: 'without a sign',
    onBadBody: 'cut',
    metadata: 'full',
    lockfile: 'door',
  },
  UNKNOWN,
];

/** The row of the client with this `User-Agent`; the last one if none fits or there is no such header. */
export function clientOf(userAgent: string | undefined): Client {
  return CLIENTS.find(({ agent }) => agent.test(userAgent ?? '')) ?? UNKNOWN;
}

export type RequestHeaders = Readonly<Record<string, unknown>> & { readonly 'user-agent'?: string | undefined };

/** Of npm 6 and later, and of its libraries: some of these are in each of their requests, and in none of other clients. */
const NPM_HEADERS = ['pacote-req-type', 'pacote-integrity', 'pacote-version', 'npm-command', 'npm-session'];

/**
 * The row of the client that sent a request.
 *
 * npm that a script of pnpm runs has pnpm's agent (`npm_config_user_agent`), and still its own headers; it must not pass for a
 * client that always verifies. Under other agents it gets what they get.
 * @param headers with names in lower case
 */
export function requestingClient(headers: RequestHeaders): Client {
  const client = clientOf(headers['user-agent']);
  const isNpm = client.verifies === 'always' && NPM_HEADERS.some((name) => headers[name] !== undefined);
  return isNpm ? NPM : client;
}

/** Whether a host that this client is redirected to can have its token, by redirecting it once more. */
export function resendsToken({ resendsToken }: Client, userAgent: string | undefined): boolean {
  return resendsToken?.test(userAgent ?? '') ?? false;
}

/**
 * Whether this client makes no use of a tarball before it has checked all of it. npm unpacks into place while it checks; what a
 * wrong tarball had of its own stays there, whatever npm gets afterwards (docs/clients.md).
 */
export function checksFirst({ verifies }: Client): boolean {
  return verifies === 'always';
}

/**
 * Whether bytes may reach this client of which only the whole can be checked, their end being withheld until it was: not
 * if it might make use of them unchecked.
 */
export function checksItself({ verifies }: Client): boolean {
  return verifies !== 'unknown' && verifies !== 'not on a first install';
}
