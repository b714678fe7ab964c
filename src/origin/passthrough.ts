/**
 * Questions of npm clients that only the upstream can answer: search, advisories, its signing keys, attestations. A fixed
 * list of paths; of the request, only what the question needs goes on: never credentials, cookies or addresses.
 *
 * Answers are kept for a minute, and longer for the time when the upstream is away. That it could not be asked is told as
 * what it is (502, 504), never as "there is none".
 */
import { createHash } from 'node:crypto';
import { NotFoundError, TooManyRequestsError, UpstreamError } from '../core/errors.ts';
import { cacheStatus } from '../core/http-semantics.ts';
import { AUDIT_BODY_BYTES_MAX } from '../core/limits.ts';
import type { NpmRequest } from '../core/npm-path.ts';
import type { HttpResponse } from '../io/http-client.ts';
import { type Answer, type Incoming, problemAnswer } from '../io/http-server.ts';
import { statusError, type Upstream } from '../io/upstream.ts';

export type Passthrough = (incoming: Incoming, request: NpmRequest) => Promise<Answer>;

type PassthroughDeps = {
  readonly upstream: Pick<Upstream, 'pass'>;
  /** Milliseconds on a clock that never goes back. */
  readonly now?: () => number;
  /** For an answer of the upstream, body included. */
  readonly timeoutMs?: number | undefined;
};

type Question = {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | null;
  readonly what: string;
};

type Kept = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly at: number;
};

const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
const KEPT_BYTES_MAX = 32 * 1024 * 1024;
const FRESH_MS = 60_000;
/** An hour-old list of advisories is better than none; a day-old one would pass for a clean bill of health. */
const STALE_MS = 60 * 60_000;
const TIMEOUT_MS = 30_000;
/** Questions under way; more would only queue up at the upstream. One client network can't have them all. */
const FLIGHTS_MAX = 64;
const FLIGHTS_PER_NETWORK_MAX = 16;

const FIXED: Readonly<Record<string, Pick<Question, 'method' | 'path' | 'what'>>> = {
  search: { method: 'GET', path: '/-/v1/search', what: 'search' },
  advisories: { method: 'POST', path: '/-/npm/v1/security/advisories/bulk', what: 'advisories for npm audit' },
  audit: { method: 'POST', path: '/-/npm/v1/security/audits', what: 'npm audit' },
  'audit-quick': { method: 'POST', path: '/-/npm/v1/security/audits/quick', what: 'npm audit' },
  keys: { method: 'GET', path: '/-/npm/v1/keys', what: "the upstream's signing keys" },
  attestations: { method: 'GET', path: '/-/npm/v1/attestations/', what: 'attestations' },
};

/** Answers the kinds of request that it is made for; throws NotFoundError for any other. */
export function createPassthrough(deps: PassthroughDeps): Passthrough {
  const { upstream, now = () => performance.now(), timeoutMs = TIMEOUT_MS } = deps;
  const flights = new Flights();
  const kept = new KeptAnswers();

  return async (incoming, request) => {
    const question = await questionOf(incoming, request);
    const key = keyOf(question);
    const held = kept.get(key);
    if (held !== undefined && now() - held.at < FRESH_MS) return answerOf(held, { hit: true });
    try {
      const fresh = await flights.join(key, incoming.network, () => ask(upstream, question, timeoutMs, now));
      kept.put(key, fresh);
      return answerOf(fresh, { fwd: held === undefined ? 'uri-miss' : 'stale' });
    } catch (error) {
      if (!(error instanceof UpstreamError) || held === undefined || now() - held.at > STALE_MS) throw error;
      return answerOf(held, { hit: true, ttl: (FRESH_MS - (now() - held.at)) / 1_000, detail: 'upstream is away' });
    }
  };
}

/** Questions under way, by what is asked. Whoever asks the same joins, and only the network that was first is charged. */
class Flights {
  readonly #flights = new Map<string, { readonly network: string; readonly answer: Promise<Kept> }>();

  /** @throws TooManyRequestsError */
  join(key: string, network: string, start: () => Promise<Kept>): Promise<Kept> {
    const flying = this.#flights.get(key);
    if (flying !== undefined) return flying.answer;
    this.#mustHaveRoom(network);
    const answer = start().finally(() => this.#flights.delete(key));
    this.#flights.set(key, { network, answer });
    return answer;
  }

  #mustHaveRoom(network: string): void {
    const own = this.#flights.values().filter((flight) => flight.network === network);
    if (this.#flights.size < FLIGHTS_MAX && own.toArray().length < FLIGHTS_PER_NETWORK_MAX) return;
    throw new TooManyRequestsError('too many questions to the upstream are under way; try again in a moment');
  }
}

/** The latest answers, by what was asked; the ones not asked for longest make room. */
class KeptAnswers {
  readonly #answers = new Map<string, Kept>();
  #bytes = 0;

  get(key: string): Kept | undefined {
    const answer = this.#answers.get(key);
    if (answer === undefined) return undefined;
    this.#answers.delete(key);
    this.#answers.set(key, answer);
    return answer;
  }

  put(key: string, answer: Kept): void {
    if (answer.status !== 200 || answer.body.length > KEPT_BYTES_MAX / 4) return;
    this.#drop(key);
    this.#answers.set(key, answer);
    this.#bytes += answer.body.length;
    for (const oldest of this.#answers.keys()) {
      if (this.#bytes <= KEPT_BYTES_MAX) break;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    this.#bytes -= this.#answers.get(key)?.body.length ?? 0;
    this.#answers.delete(key);
  }
}

async function questionOf(incoming: Incoming, request: NpmRequest): Promise<Question> {
  const fixed = FIXED[request.kind];
  if (fixed === undefined)
    throw new NotFoundError(`${request.kind} is not among what is passed through to the upstream`);
  const body = fixed.method === 'POST' ? await incoming.body(AUDIT_BODY_BYTES_MAX) : null;
  return { ...fixed, path: fixed.path + restOfPath(request), headers: headersOf(incoming, body !== null), body };
}

function restOfPath(request: NpmRequest): string {
  if (request.kind === 'search' && request.query !== '') return new URL(`http://x/?${request.query}`).search;
  if (request.kind === 'attestations') return encodeURIComponent(request.spec).replaceAll('%40', '@');
  return '';
}

function headersOf({ headers }: Incoming, hasBody: boolean): Record<string, string> {
  const wanted = hasBody ? ['content-type', 'content-encoding'] : [];
  const given = wanted.map((name) => [name, headers[name]]).filter(([, value]) => typeof value === 'string');
  return { accept: 'application/json', ...Object.fromEntries(given) };
}

function keyOf({ method, path, headers, body }: Question): string {
  const hash = createHash('sha256').update(JSON.stringify([method, path, headers]));
  return hash.update(body ?? '').digest('base64');
}

async function ask(
  upstream: Pick<Upstream, 'pass'>,
  question: Question,
  totalTimeoutMs: number,
  now: () => number,
): Promise<Kept> {
  const { method, path, headers, body, what } = question;
  const options = { headers, what, maxBytes: ANSWER_BYTES_MAX, totalTimeoutMs };
  const answer = await upstream.pass(method, path, body === null ? options : { ...options, body });
  const { status } = answer;
  const isClientsFault = status >= 400 && status < 500 && ![401, 403, 407, 408, 429].includes(status);
  if (status !== 200 && !isClientsFault) throw statusError(status, what);
  if (isJson(answer)) return { status, headers: { 'content-type': 'application/json' }, body: answer.body, at: now() };
  if (status === 200) throw new UpstreamError({ what, reason: 'it answered something that is not JSON' });
  return { ...wordless(status, what), at: now() };
}

/** A refusal without JSON gets words that npm can print. */
function wordless(status: number, what: string): Omit<Kept, 'at'> {
  const { headers, body } = problemAnswer(status, 'upstream', `the upstream answers ${what} with status ${status}`);
  return { status, headers, body: body as Uint8Array };
}

function isJson({ headers, body }: HttpResponse): boolean {
  if (!/\bjson\b/i.test(headers['content-type'] ?? 'json')) return false;
  const first = Buffer.from(body.subarray(0, 256)).toString('latin1').trimStart().at(0);
  return first === '{' || first === '[';
}

function answerOf({ status, headers, body }: Kept, facts: Parameters<typeof cacheStatus>[1]): Answer {
  const how = cacheStatus('open-registry', facts);
  return { status, headers: { ...headers, 'cache-control': 'no-store', 'cache-status': how }, body };
}
