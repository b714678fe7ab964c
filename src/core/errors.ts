/**
 * What can go wrong, as few named classes. `code` is for programs and never changes; `status` is the HTTP status an API
 * answers with; the message is for people, says what was wrong and, where they can, what to do. Facts are fields.
 */
export abstract class FederationError extends Error {
  abstract readonly code: string;
  abstract readonly status: number;
  override get name(): string {
    return this.constructor.name;
  }
}

/** What went wrong, in words, of whatever was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The request can't be understood or is not allowed in this form. */
export class BadRequestError extends FederationError {
  readonly code = 'bad-request';
  readonly status = 400;
}

/** The request needs a valid token or signature. */
export class UnauthorizedError extends FederationError {
  readonly code = 'unauthorized';
  readonly status = 401;
}

/** Understood, and refused whoever asks or for this caller. */
export class ForbiddenError extends FederationError {
  readonly code = 'forbidden';
  readonly status = 403;
}

/** There is no such thing, and we know it: never used for "could not find out". */
export class NotFoundError extends FederationError {
  readonly code = 'not-found';
  readonly status = 404;
}

/** The state has moved on since the caller looked, or the thing exists already. */
export class ConflictError extends FederationError {
  readonly code = 'conflict';
  readonly status = 409;
}

/** More bytes, members or levels than the limit that the message names. */
export class TooLargeError extends FederationError {
  readonly code = 'too-large';
  readonly status = 413;
}

/** More often than one client network may; the same request succeeds later. */
export class TooManyRequestsError extends FederationError {
  readonly code = 'too-many-requests';
  readonly status = 429;
}

/** The index once had it and withdrew it. */
export class WithdrawnError extends FederationError {
  readonly code = 'withdrawn';
  readonly status = 451;
  /** `name` or `name@version`. */
  readonly subject: string;
  readonly reason: string;

  /** @param facts `reason` is null where nobody gave one: then it is the upstream that shows it no more */
  constructor({ subject, reason }: { subject: string; reason: string | null }, options?: ErrorOptions) {
    const why = reason ?? 'withdrawn by the upstream';
    super(`${subject} was withdrawn: ${why}`, options);
    this.subject = subject;
    this.reason = why;
  }
}

/** A server that we depend on answered wrongly or not at all. */
export class UpstreamError extends FederationError {
  readonly code: string = 'upstream';
  readonly status: number = 502;
  /** What was asked of the upstream, such as `packument of express`. */
  readonly what: string;
  /** When it makes sense to ask again; null if nobody knows. */
  readonly retryAfterSeconds: number | null;

  constructor(facts: { what: string; reason: string; retryAfterSeconds?: number }, options?: ErrorOptions) {
    super(`${facts.what}: ${facts.reason}`, options);
    this.what = facts.what;
    this.retryAfterSeconds = facts.retryAfterSeconds ?? null;
  }
}

/** The same, but it took too long. */
export class UpstreamTimeoutError extends UpstreamError {
  override readonly code = 'upstream-timeout';
  override readonly status = 504;
}

/** The disk is full. What is stored is still served. */
export class StorageFullError extends FederationError {
  readonly code = 'storage-full';
  readonly status = 507;
}

/** Bytes that do not have the hash they were asked for by. */
export class IntegrityError extends FederationError {
  readonly code = 'integrity';
  readonly status = 502;
  /** Hashes as `<algorithm>:<hex>`. */
  readonly expected: string;
  readonly actual: string;
  /** Where the bytes came from: a URL, a host's id, a path. */
  readonly source: string;

  constructor(facts: { expected: string; actual: string; source: string }, options?: ErrorOptions) {
    super(`wrong bytes from ${facts.source}: expected ${facts.expected}, got ${facts.actual}`, options);
    this.expected = facts.expected;
    this.actual = facts.actual;
    this.source = facts.source;
  }
}

/** A document or record that is not what its format says. */
export class MalformedError extends FederationError {
  readonly code = 'malformed';
  readonly status = 400;
  /** Name of the format, such as `head/1` or `packument`. */
  readonly format: string;
  readonly reason: string;
  /** First line that is wrong, from 1, in formats made of lines. */
  readonly line: number | null;
  /** First byte that is wrong, from 0, in formats that are scanned by byte. */
  readonly offset: number | null;

  constructor(format: string, reason: string, where: Where & ErrorOptions = {}) {
    super(`malformed ${format}${placeOf(where)}: ${reason}`, where);
    this.format = format;
    this.reason = reason;
    this.line = where.line ?? null;
    this.offset = where.offset ?? null;
  }
}

/** A signed document without a good signature of a key that we trust. */
export class SignatureError extends FederationError {
  readonly code = 'signature';
  readonly status = 502;
}

/** A proof of inclusion or consistency that does not show what it should. */
export class ProofError extends FederationError {
  readonly code = 'proof';
  readonly status = 502;
}

/** Tiles or entries of a log that do not belong to the tree whose root we know. */
export class WrongTileError extends FederationError {
  readonly code = 'wrong-tile';
  readonly status = 502;
  /** Such as `tile/0/x001/234.p/5`. Where only all of them together are known to be wrong, all of them. */
  readonly paths: readonly string[];

  constructor(facts: { paths: readonly string[]; reason: string }, options?: ErrorOptions) {
    super(`${facts.paths.join(', ')}: ${facts.reason}`, options);
    this.paths = facts.paths;
  }
}

/** An older checkpoint than one that we have seen already. */
export class RollbackError extends FederationError {
  readonly code = 'rollback';
  readonly status = 502;
  /** Tree sizes. */
  readonly held: number;
  readonly offered: number;

  constructor(facts: { originLine: string; held: number; offered: number }, options?: ErrorOptions) {
    super(`${facts.originLine} was offered at size ${facts.offered}, but had ${facts.held} entries already`, options);
    this.held = facts.held;
    this.offered = facts.offered;
  }
}

/** Two signed checkpoints of one log of which neither contains the other: its key has signed two histories. */
export class SplitViewError extends FederationError {
  readonly code = 'split-view';
  readonly status = 502;
  /** The signed notes, the evidence: the one that we held first. */
  readonly notes: readonly [held: string, offered: string];
  /** From the smaller tree to the larger one, where they differ in size: shows that the smaller one had another root. */
  readonly proof: readonly Uint8Array[];

  constructor(
    facts: { originLine: string; held: string; offered: string; proof?: readonly Uint8Array[] },
    options?: ErrorOptions,
  ) {
    super(`${facts.originLine} has signed two histories that exclude each other; both checkpoints are kept`, options);
    this.notes = [facts.held, facts.offered];
    this.proof = facts.proof ?? [];
  }
}

/** A checkpoint of the log's that lacks cosignatures which the operator's policy requires. They may still come. */
export class UnwitnessedError extends FederationError {
  readonly code = 'unwitnessed';
  readonly status = 502;

  constructor(facts: { size: number; lacking: string }, options?: ErrorOptions) {
    super(`the checkpoint of ${facts.size} entries is held back by the policy: ${facts.lacking}`, options);
  }
}

/** An entry that the log surely has, and that this version can't take in: what comes after it can't be followed. */
export class UnreadableEntryError extends FederationError {
  readonly code = 'unreadable-entry';
  readonly status = 502;
  /** Place in the log, from 0. */
  readonly index: number;

  constructor(facts: { index: number; reason: string }, options?: ErrorOptions) {
    super(`entry ${facts.index} of the log can't be taken in: ${facts.reason}`, options);
    this.index = facts.index;
  }
}

/** What is asked for can't be had from us for now; the same request may succeed later. */
export class UnavailableError extends FederationError {
  readonly code: string = 'unavailable';
  readonly status = 503;
}

/** Our own log key has signed a history that we do not hold: nothing more is signed until the operator acts. */
export class LogHaltedError extends UnavailableError {
  override readonly code = 'log-halted';

  /** @param contradiction what was seen, such as `signed at 7 entries, of which 5 are here` */
  constructor(contradiction: string) {
    super(`this registry takes in nothing new: its log was ${contradiction}; what it has is served on`);
  }
}

/** A command line or configuration that can't be run as it stands. */
export class UsageError extends FederationError {
  readonly code = 'usage';
  readonly status = 400;
}

type Where = { line?: number; offset?: number };

function placeOf({ line, offset }: Where): string {
  if (line !== undefined) return `, line ${line}`;
  return offset === undefined ? '' : ` at byte ${offset}`;
}

/** A value from outside as it may stand in a message: in quotes, escaped, cut after 80 characters. */
export function quote(value: string): string {
  return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
}
