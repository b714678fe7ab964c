/**
 * Asking witnesses to cosign (C2SP tlog-witness, `add-checkpoint`): each gets the newest checkpoint, with the proof that
 * it continues the one that this witness cosigned last. Which one that was the witness says itself, so nothing is kept.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { formatAddCheckpoint, TLOG_SIZE_TYPE } from '../core/add-checkpoint.ts';
import { text as textOf, utf8 } from '../core/bytes.ts';
import { type Cosigned, openCosigned } from '../core/cosigned.ts';
import { UpstreamError } from '../core/errors.ts';
import { CHECKPOINT_BYTES_MAX } from '../core/limits.ts';
import { addSignatureLines } from '../core/note.ts';
import type { PolicyWitness } from '../core/tlog-policy.ts';
import { createBell } from '../io/bell.ts';
import type { HttpClient } from '../io/http-client.ts';
import type { Logger } from '../io/logger.ts';
import type { Metrics } from '../io/metrics.ts';
import type { Log, Published } from './log.ts';

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
  /** Told of each cosignature, verified. */
  readonly cosigned: (vkey: string, cosigned: Cosigned) => void;
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
export const WITNESS_TIMES: WitnessTimes = {
  paceMs: 10_000,
  renewMs: 300_000,
  pauseMaxMs: 600_000,
  timeoutMs: 15_000,
};

/** A witness tells where it is once; if it is elsewhere by then, somebody else is faster than we are. */
const ATTEMPTS = 3;

type AskedWitness = PolicyWitness & { readonly url: string };

export function createWitnessClient(deps: WitnessClientDeps): WitnessClient {
  const stop = new AbortController();
  const news = createBell();
  const asked = deps.witnesses.filter((witness): witness is AskedWitness => witness.url !== null);
  let unsubscribe = (): void => undefined;
  let running: Promise<unknown> = Promise.resolve();

  return {
    start() {
      unsubscribe = deps.log.subscribe(() => news.ring());
      running = Promise.all(asked.map((witness) => follow(witness)));
    },
    async close() {
      unsubscribe();
      stop.abort(new Error('the origin is stopping'));
      news.close();
      await running;
    },
  };

  /** Newest wins: what came and went during a pause is never shown. */
  async function follow(witness: AskedWitness): Promise<void> {
    const { signal } = stop;
    const { paceMs, renewMs } = deps.times ?? WITNESS_TIMES;
    const state = { size: 0, failures: 0 };
    while (!signal.aborted) {
      const seen = news.rung();
      await show(witness, state);
      await sleep(pauseAfter(state.failures), undefined, { signal }).catch(() => undefined);
      if (state.failures === 0) await news.wait(seen, renewMs - paceMs, signal);
    }
  }

  async function show(witness: AskedWitness, state: { size: number; failures: number }): Promise<void> {
    const published = deps.log.checkpoint();
    if (!published) return;
    try {
      state.size = await push(witness, published, state.size, deps, stop.signal);
      note(witness, state.failures > 0 ? 'back' : 'good', null);
      state.failures = 0;
    } catch (error) {
      if (stop.signal.aborted) return;
      note(witness, state.failures === 0 ? 'lost' : 'bad', error);
      state.failures += 1;
    }
  }

  function pauseAfter(failures: number): number {
    const { paceMs, pauseMaxMs } = deps.times ?? WITNESS_TIMES;
    return Math.min(pauseMaxMs, paceMs * 2 ** failures) * (failures === 0 ? 1 : 0.75 + deps.random() / 2);
  }

  function note({ name }: AskedWitness, how: 'good' | 'back' | 'lost' | 'bad', error: unknown): void {
    const { logger, metrics } = deps;
    const result = error === null ? 'good' : 'bad';
    metrics
      .counter('witness_requests_total', 'Checkpoints shown to witnesses', ['witness', 'result'])
      .inc({ witness: name, result });
    if (how === 'back') logger.info({ witness: name }, 'the witness cosigns again');
    const reason = error instanceof Error ? error.message : String(error);
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
      cosigned(vkey, openCosigned(addSignatureLines(note, linesIn(answer.body)), vkey));
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
