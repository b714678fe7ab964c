/**
 * Looking at hosts: every few seconds one real request to each approved host that is present, such as a client sends that
 * followed a redirect, with the whole body compared by its hash. What a host is believed to be rests on this alone.
 */

import type { IncomingMessage } from 'node:http';
import { reasonOf, TooLargeError } from '../../core/errors.ts';
import { sha512Hex } from '../../core/hash.ts';
import type { ProbeResult } from '../../core/health.ts';
import { openHostsList } from '../../core/hosts-list.ts';
import { sriOf } from '../../core/integrity.ts';
import { NOTE_BYTES_MAX } from '../../core/limits.ts';
import type { WithdrawnTarball } from '../../core/withdrawal-watch.ts';
import { collect } from '../../io/http-body.ts';
import type { Visit } from '../../io/visit.ts';

/** A tarball to look for. `size` in bytes. */
export type ProbeBlob = {
  readonly sha512: string;
  readonly size: number;
  readonly name: string;
  readonly version: string;
};
export type ProbeTarget = { readonly id: string; readonly url: string };

export type Prober = {
  start(): void;
  /**
   * Looks at one host out of turn, unless that is under way. Resolves when its result is recorded.
   * @param doubted sha512 of a tarball that a client came back for: this is what the host is asked for until it gives it right
   */
  probeNow(hostId: string, doubted?: string | null): Promise<void>;
  close(): Promise<void>;
};

export type ProberDeps = {
  readonly visit: Visit;
  /** Hosts to look at: approved and present. */
  readonly targets: () => readonly ProbeTarget[];
  /** The doubted tarball if it may be asked for, else any that the origin holds, lately used and small; null while there is none. */
  readonly pickBlob: (doubted: string | null) => Promise<ProbeBlob | null>;
  /** A live mark for the blob and the host, as a redirected client has it; null if none can be made. */
  readonly markFor: (hostId: string, sha512: string) => string | null;
  /** The key that signs the list of hosts, which every host has: looked at while there is no tarball yet. */
  readonly hostsVkey: string;
  readonly logName: string;
  readonly record: (hostId: string, result: ProbeResult) => void;
  /** What else to ask a host for, which it must not have any more; null for nothing this time. */
  readonly withdrawnFor: (hostId: string) => Promise<WithdrawnTarball | null>;
  readonly recordWithdrawn: (hostId: string, asked: WithdrawnTarball, isServed: boolean) => void;
  readonly intervalMs: number;
};

export const PROBE_INTERVAL_MS = 3_000;
/** A client would wait longer; but where this is too long, it should not have to. */
const TOTAL_TIMEOUT_MS = 5_000;
const RUNNING_MAX = 64;

/** As npm sends them. A host that can tell a probe from a client can be good to probes alone. */
const CLIENT_HEADERS = {
  'user-agent': 'npm/11.6.2 node/v24.11.0 linux x64 workspaces/false',
  accept: '*/*',
  'accept-encoding': 'gzip,deflate',
  'npm-auth-type': 'web',
  'npm-command': 'install',
};

export function createProber(deps: ProberDeps): Prober {
  const running = new Map<string, Promise<void>>();
  const asking = new Map<string, Promise<void>>();
  const closing = new AbortController();
  /** Longest ago first; those never looked at are at the front. */
  const order = new Map<string, number>();
  /** By host. A host may be good with small tarballs alone, or with those of late. */
  const doubts = new Map<string, string>();
  let turn = 0;
  let timer: NodeJS.Timeout | undefined;

  function probe(target: ProbeTarget): Promise<void> {
    const known = running.get(target.id);
    if (known) return known;
    order.set(target.id, ++turn);
    const doubted = doubts.get(target.id) ?? null;
    const probing = probeHost(deps, target, closing.signal, doubted)
      .then((result) => {
        if (closing.signal.aborted) return;
        // Meanwhile there may be another one.
        if (isSettled(result) && doubts.get(target.id) === doubted) doubts.delete(target.id);
        deps.record(target.id, result);
      })
      .finally(() => running.delete(target.id));
    running.set(target.id, probing);
    return probing;
  }

  function round(): void {
    const waiting = deps.targets().filter(({ id }) => !running.has(id));
    waiting.sort((a, b) => (order.get(a.id) ?? 0) - (order.get(b.id) ?? 0));
    for (const target of waiting.slice(0, RUNNING_MAX - running.size)) void look(target);
  }

  /** What it must not have any more is asked for only after it has shown how it is. */
  async function look(target: ProbeTarget): Promise<void> {
    await probe(target);
    if (asking.has(target.id) || closing.signal.aborted) return;
    const asked = askWithdrawn(deps, target, closing.signal);
    asking.set(target.id, asked);
    await asked;
    asking.delete(target.id);
  }

  return {
    start() {
      timer = setInterval(round, deps.intervalMs);
      timer.unref();
    },
    async probeNow(hostId, doubted = null) {
      if (doubted !== null) doubts.set(hostId, doubted);
      const target = deps.targets().find(({ id }) => id === hostId);
      if (target && !closing.signal.aborted) await probe(target);
    },
    async close() {
      clearInterval(timer);
      closing.abort(new Error('the origin is stopping'));
      await Promise.all([...running.values(), ...asking.values()]);
    },
  };
}

/** Right, or sent back: a host with a full disk goes on with what it holds, and is not judged by one that it can't take in. */
function isSettled(result: ProbeResult): boolean {
  return result.kind === 'good' || (result.kind === 'failed' && result.detail === statusDetail(302));
}

/** One look at one host. Never rejects: whatever happens is a result. */
export async function probeHost(
  deps: ProberDeps,
  target: ProbeTarget,
  signal: AbortSignal,
  doubted: string | null = null,
): Promise<ProbeResult> {
  try {
    const { path, headers, bytesMax, isRight } = questionFor(deps, target, await deps.pickBlob(doubted));
    const options = { headers, timeoutMs: TOTAL_TIMEOUT_MS, signal };
    return await deps.visit(`${target.url}${path}`, options, async (answer) => {
      const detail = strangeness(answer);
      if (detail === null) return { kind: isRight(await wholeBody(answer, bytesMax)) ? 'good' : 'wrong-bytes' };
      answer.destroy();
      return { kind: 'failed', detail };
    });
  } catch (error) {
    return failureOf(error);
  }
}

/** Why an answer is not even looked into; null for nothing. Clients undo different content codings, so there must be none. */
function strangeness({ statusCode, headers }: IncomingMessage): string | null {
  if (statusCode !== 200) return statusDetail(statusCode);
  const coding = headers['content-encoding'];
  return coding === undefined ? null : `content coding ${coding.slice(0, 80)}`;
}

function statusDetail(status: number | undefined): string {
  return `status ${status}`;
}

function wholeBody(answer: IncomingMessage, bytesMax: number): Promise<Uint8Array> {
  return collect(answer, bytesMax, () => new TooLargeError('more bytes than the tarball has'));
}

/** Asks as anybody may, without a mark. Never rejects: no answer is no news. */
async function askWithdrawn(deps: ProberDeps, target: ProbeTarget, signal: AbortSignal): Promise<void> {
  try {
    const asked = await deps.withdrawnFor(target.id);
    if (!asked || signal.aborted) return;
    const options = { headers: CLIENT_HEADERS, timeoutMs: TOTAL_TIMEOUT_MS, signal };
    const url = `${target.url}/-/federation/blob/sha512/${asked.sha512}`;
    const status = await deps.visit(url, options, async (answer) => {
      answer.destroy();
      return answer.statusCode;
    });
    deps.recordWithdrawn(target.id, asked, status === 200 || status === 206);
  } catch {
    return;
  }
}

type Question = {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly bytesMax: number;
  readonly isRight: (body: Uint8Array) => boolean;
};

function questionFor(deps: ProberDeps, { id }: ProbeTarget, blob: ProbeBlob | null): Question {
  const mark = blob && deps.markFor(id, blob.sha512);
  if (!blob || !mark) {
    // No client asks for the list, and a server in front of the host may well compress a text.
    const headers = { ...CLIENT_HEADERS, 'accept-encoding': 'identity' };
    return { path: '/-/federation/hosts', headers, bytesMax: NOTE_BYTES_MAX, isRight: (body) => isOurList(body, deps) };
  }
  const path = `/-/federation/blob/sha512/${blob.sha512}?for=${mark}`;
  const isRight = (body: Uint8Array) => sha512Hex(body) === blob.sha512;
  return { path, headers: { ...CLIENT_HEADERS, ...tarballHeaders(blob) }, bytesMax: blob.size, isRight };
}

/** What npm adds to a request for a tarball, and keeps when it follows a redirect. */
function tarballHeaders({ sha512, name, version }: ProbeBlob): Record<string, string> {
  return {
    'pacote-version': '21.0.3',
    'pacote-req-type': 'tarball',
    'pacote-pkg-id': `registry:${name}@${version}`,
    'pacote-integrity': sriOf({ algorithm: 'sha512', hex: sha512 }),
  };
}

function isOurList(body: Uint8Array, { hostsVkey, logName }: ProberDeps): boolean {
  try {
    openHostsList(body, hostsVkey, logName);
    return true;
  } catch {
    return false;
  }
}

function failureOf(error: unknown): ProbeResult {
  if (error instanceof TooLargeError) return { kind: 'wrong-bytes' };
  if (isRefusal(error)) return { kind: 'refused' };
  return { kind: 'failed', detail: reasonOf(error) };
}

/** A name with several addresses was refused if each of them was. */
function isRefusal(error: unknown): boolean {
  const { code, cause, errors } = error as NodeJS.ErrnoException & { cause?: unknown; errors?: unknown[] };
  if (code === 'ECONNREFUSED') return true;
  if (errors !== undefined && errors.length > 0) return errors.every(isRefusal);
  return cause instanceof Error && isRefusal(cause);
}
