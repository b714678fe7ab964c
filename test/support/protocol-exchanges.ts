import assert from 'node:assert/strict';
import { ask, type Reply } from './ask.ts';
import { protocolExamples } from './protocol-examples.ts';

/** A request of docs/protocol.md and what is answered to it. */
export interface Exchange {
  /** Which server is asked: `origin`, `mirror`, `door`. */
  readonly server: string;
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly answer: {
    readonly status: number;
    /** Those that are shown, as patterns for their values. */
    readonly headers: Readonly<Record<string, string>>;
    /** Pattern for the whole body; undefined where it is left out. */
    readonly body: string | undefined;
  };
}

/** Stands for text that is left out in the document. */
const LEFT_OUT = '…';

/** All exchanges, in the document's order: later ones may use what earlier ones were answered. */
export function protocolExchanges(): Exchange[] {
  return protocolExamples('exchange').map(({ label, text }) => exchangeOf(label, text));
}

/**
 * Asks what the document asks, and compares the answer with the one that it shows.
 * @param real puts this run's addresses in place of the document's
 * @param leftOut what the request's own `…` stands for
 */
export async function replay(
  exchange: Exchange,
  url: string,
  real: (text: string) => string,
  leftOut = '',
): Promise<Reply> {
  const fill = (text: string): string => real(text.replaceAll(LEFT_OUT, leftOut));
  const headers = Object.fromEntries(Object.entries(exchange.headers).map(([name, value]) => [name, fill(value)]));
  const { method, body } = exchange;
  const reply = await ask(url, {
    method,
    target: fill(exchange.target),
    headers,
    ...(body === undefined ? {} : { body }),
  });
  const { answer } = exchange;
  const what = `${method} ${exchange.target}`;
  assert.equal(reply.status, answer.status, `${what}: ${reply.error}`);
  for (const [name, shown] of Object.entries(answer.headers)) {
    assertShown(String(reply.headers[name.toLowerCase()]), real(shown), `${name} of ${what}`);
  }
  if (answer.body !== undefined) assertShown(reply.body.toString(), real(answer.body), `body of ${what}`);
  return reply;
}

function exchangeOf(server: string, text: string): Exchange {
  const [request = '', answer = ''] = text.split(/^(?=\d{3} )/m);
  const { first, headers, body } = partOf(request.trimEnd());
  const [, method = '', target = ''] = /^([A-Z]+) (\S+)$/.exec(first) ?? [];
  const said = partOf(answer.trimEnd());
  assert.ok(method && answer, `not an exchange:\n${text}`);
  return {
    ...{ server, method, target, headers, body },
    answer: { status: Number(said.first.slice(0, 3)), headers: said.headers, body: said.body },
  };
}

function partOf(text: string): { first: string; headers: Record<string, string>; body: string | undefined } {
  const [head = '', ...rest] = text.split('\n\n');
  const [first = '', ...lines] = head.split('\n');
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')), line.replace(/^.*?: /, '')]),
  );
  return { first, headers, body: rest.length === 0 ? undefined : rest.join('\n\n') };
}

/** Compares a text with what the document shows of it; a last line feed is not shown. */
export function assertShown(actual: string, shown: string, what: string): void {
  const trimmed = actual.replace(/\n$/, '');
  const parts = shown.split(LEFT_OUT);
  if (parts.length === 1) assert.equal(trimmed, shown, what);
  else assert.match(trimmed, new RegExp(`^${parts.map(RegExp.escape).join('[^]*')}$`), what);
}
