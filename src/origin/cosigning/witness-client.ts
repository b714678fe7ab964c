/**
 * Asking witnesses to cosign (C2SP tlog-witness, `add-checkpoint`): each gets the newest checkpoint, with the proof that
 * it continues the one that this witness cosigned last. Which one that was the witness says itself, so nothing is kept.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { formatAddCheckpoint, TLOG_SIZE_TYPE } from '../../core/add-checkpoint.ts';
import { text as textOf, utf8 } from '../../core/bytes.ts';
import { type Cosigned, openCosigned } from '../../core/cosigned.ts';
import { reasonOf, UpstreamError } from '../../core/errors.ts';
import { CHECKPOINT_BYTES_MAX } from '../../core/limits.ts';
import { addSignatureLines } from '../../core/note.ts';
import type { PolicyWitness } from '../../core/tlog-policy.ts';
import { createBell } from '../../io/bell.ts';
import type { HttpClient } from '../../io/http-client.ts';
import type { Logger } from '../../io/logger.ts';
import type { Metrics } from '../../io/metrics.ts';
import type { Log, Published } from '../log/log.ts';

export type WitnessClient = {
  start(): void;
  close(): Promise<void>;
};

export type WitnessClientDeps = {
  /** Those without a URL are not asked. */
  readonly witnesses: readonly PolicyWitness[];
  readonly client: Pick<HttpClient, 'request'>;
  readonly log: Pick<Log, 'checkpoint' | 'subscribe'>;
  /** Shows that the log of the first size is the beginning of the log of the second one. */
  readonly prove: (oldSize: number, size: number) => Promise<Uint8Array[]>;
  /** Told of each cosignature, verified, and of the checkpoint with the log's signature alone. */
  readonly cosigned: (vkey: string, cosigned: Cosigned, bare: string) => void;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly times?: WitnessTimes;
};

/** ms. */
export type WitnessTimes = {
  /** Between two requests to one witness. */
  readonly paceMs: number;
  /** After which a checkpoint that still is the newest is cosigned anew. */
  readonly renewMs: number;
  /** Longest pause after failures; they grow by doubling from `paceMs`. */
  readonly pauseMaxMs: number;
  /** For one answer. */
  readonly timeoutMs: number;
};
const WITNESS_TIMES: WitnessTimes = {
  paceMs: 10_000,
  renewMs: 300_000,
  pauseMaxMs: 600_000,
  timeoutMs: 15_000,
};

/** A witness tells where it is once; if it is elsewhere by then, somebody else is faster than we are. */
const ATTEMPTS = 3;

type AskedWitness = PolicyWitness & { readonly url: string };

/** What is known of a witness. Times in ms of a clock that never jumps. */
type Standing = {
  /** What it cosigned last: how many entries, and the note; 0 and null if nothing is known. */
  size: number;
  note: string | null;
  cosignedAtMs: number;
  /** In a row. */
  failures: number;
  notBeforeMs: number;
  busy: boolean;
};
const UNKNOWN: Standing = { size: 0, note: null, cosignedAtMs: 0, failures: 0, notBeforeMs: 0, busy: false };

export function createWitnessClient(deps: WitnessClientDeps): WitnessClient {
  const { paceMs, renewMs, pauseMaxMs } = deps.times ?? WITNESS_TIMES;
  const stop = new AbortController();
  const news = createBell();
  const asked = deps.witnesses.filter((witness): witness is AskedWitness => witness.url !== null);
  const standings = new Map(asked.map((witness) => [witness, { ...UNKNOWN }]));
  const showing = new Set<Promise<void>>();
  let unsubscribe = (): void => undefined;
  let running: Promise<unknown> = Promise.resolve();

  return {
    start() {
      if (asked.length === 0) return;
      unsubscribe = deps.log.subscribe(() => news.ring());
      running = run();
    },
    async close() {
      unsubscribe();
      stop.abort(new Error('the origin is stopping'));
      news.close();
      await running;
      await Promise.all(showing);
    },
  };

  /** All are shown the same checkpoint at once, so that it can reach a quorum. What comes and goes between is never shown. */
  async function run(): Promise<void> {
    const { signal } = stop;
    while (!signal.aborted) {
      const seen = news.rung();
      showAll(deps.log.checkpoint());
      await sleep(paceMs, undefined, { signal }).catch(() => undefined);
      if (!isSomeoneLost()) await news.wait(seen, renewMs - paceMs, signal);
    }
  }

  function isSomeoneLost(): boolean {
    return [...standings.values()].some(({ failures }) => failures > 0);
  }

  /** One that is slow or has failed holds up nobody else. */
  function showAll(published: Published | null): void {
    if (!published) return;
    for (const [witness, standing] of standings) {
      if (!isDue(standing, published)) continue;
      const shown = show(witness, standing, published).finally(() => showing.delete(shown));
      showing.add(shown);
    }
  }

  function isDue({ busy, notBeforeMs, note, cosignedAtMs }: Standing, published: Published): boolean {
    const now = performance.now();
    if (busy || now < notBeforeMs) return false;
    return note !== published.note || now - cosignedAtMs >= renewMs - paceMs;
  }

  async function show(witness: AskedWitness, standing: Standing, published: Published): Promise<void> {
    standing.busy = true;
    try {
      standing.size = await push(witness, published, standing.size, deps, stop.signal);
      report(witness, standing.failures > 0 ? 'back' : 'good', null);
      Object.assign(standing, { note: published.note, cosignedAtMs: performance.now(), failures: 0 });
    } catch (error) {
      if (stop.signal.aborted) return;
      report(witness, standing.failures === 0 ? 'lost' : 'bad', error);
      standing.failures += 1;
      standing.notBeforeMs = performance.now() + pauseAfter(standing.failures);
    } finally {
      standing.busy = false;
      // A round that waits for news by now began before it could know that there is more to show here, or again.
      if (standing.note !== deps.log.checkpoint()?.note) news.ring();
    }
  }

  function pauseAfter(failures: number): number {
    return Math.min(pauseMaxMs, paceMs * 2 ** (failures - 1)) * (0.75 + deps.random() / 2);
  }

  function report({ name }: AskedWitness, how: 'good' | 'back' | 'lost' | 'bad', error: unknown): void {
    const { logger, metrics } = deps;
    const result = error === null ? 'good' : 'bad';
    metrics
      .counter('witness_requests_total', 'Checkpoints shown to witnesses', ['witness', 'result'])
      .inc({ witness: name, result });
    if (how === 'back') logger.info({ witness: name }, 'the witness cosigns again');
    const reason = reasonOf(error);
    if (how === 'lost') logger.warn({ witness: name, reason }, 'the witness did not cosign; it is asked again');
  }
}

/**
 * Has a witness cosign a checkpoint.
 * @param size of the checkpoint that it is believed to have cosigned last; 0 if nothing is known
 * @returns the size that it has cosigned now
 * @throws UpstreamError if it does not, or not well
 */
async function push(
  { vkey, url }: AskedWitness,
  { checkpoint, note }: Published,
  size: number,
  { client, prove, cosigned, times = WITNESS_TIMES }: WitnessClientDeps,
  signal: AbortSignal,
): Promise<number> {
  const what = `add-checkpoint of ${url}`;
  let oldSize = size;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (oldSize > checkpoint.size) {
      throw new UpstreamError({
        what,
        reason: `it has cosigned ${oldSize} entries, of which ${checkpoint.size} are here`,
      });
    }
    const proof = oldSize === 0 || oldSize === checkpoint.size ? [] : await prove(oldSize, checkpoint.size);
    const answer = await client.request(`${url.replace(/\/$/, '')}/add-checkpoint`, {
      ...{ method: 'POST', maxBytes: CHECKPOINT_BYTES_MAX, totalTimeoutMs: times.timeoutMs, what, signal },
      body: utf8(formatAddCheckpoint({ oldSize, proof, note })),
      headers: { 'content-type': 'text/plain; charset=utf-8' },
    });
    if (answer.status === 200) {
      cosigned(vkey, openCosigned(addSignatureLines(note, linesIn(answer.body)), vkey), note);
      return checkpoint.size;
    }
    if (answer.status !== 409 || answer.headers['content-type'] !== TLOG_SIZE_TYPE) {
      throw new UpstreamError({ what, reason: `it answered with status ${answer.status}` });
    }
    oldSize = sizeIn(answer.body, what);
  }
  throw new UpstreamError({ what, reason: 'it said each time that it had cosigned another checkpoint meanwhile' });
}

function linesIn(body: Uint8Array): string[] {
  return textOf(body, 'answer of a witness')
    .split(/(?<=\n)/)
    .filter((line) => line !== '');
}

function sizeIn(body: Uint8Array, what: string): number {
  const size = textOf(body, 'answer of a witness').trimEnd();
  if (/^(?:0|[1-9][0-9]{0,15})$/.test(size) && Number.isSafeInteger(Number(size))) return Number(size);
  throw new UpstreamError({ what, reason: 'it did not say which size it has cosigned' });
}
