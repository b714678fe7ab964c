/**
 * This mirror as a witness of its origin's log (https://c2sp.org/tlog-witness): cosigns each checkpoint that it is shown
 * and that continues the one before. It holds nothing but that one, signs with a key of its own, and is told nothing by
 * the rest of the mirror: its word is only about what it was shown.
 */
import { decideAddCheckpoint, TLOG_SIZE_TYPE } from '../../core/add-checkpoint.ts';
import { utf8 } from '../../core/bytes.ts';
import { type LogKeys, withoutCosignatures } from '../../core/cosigned.ts';
import { ConflictError, NotFoundError } from '../../core/errors.ts';
import { CACHE, etagOf, planRead } from '../../core/http-semantics.ts';
import { ADD_CHECKPOINT_BYTES_MAX } from '../../core/limits.ts';
import { type Cosigner, logHash } from '../../io/cosigner.ts';
import { type Answer, type Incoming, problemAnswer } from '../../io/http-server.ts';

export type WitnessDeps = {
  readonly cosigner: Cosigner;
  /** The log that it knows; null until the origin's keys are known. */
  readonly log: () => LogKeys | null;
};

/** Answers what is under `/-/federation/witness/`; null for a path that no witness has. */
export type Witness = (request: Incoming, path: readonly string[]) => Promise<Answer | null>;

export function createWitness(deps: WitnessDeps): Witness {
  return async (request, path) => {
    const [first = '', second] = path;
    if (path.length === 1 && first === 'add-checkpoint') {
      if (request.method === 'POST') return addAnswer(deps, await request.body(ADD_CHECKPOINT_BYTES_MAX));
      return problemAnswer(405, 'method-not-allowed', 'use POST here', { allow: 'POST' });
    }
    if (path.length === 2 && second === 'checkpoint') return latestAnswer(deps, request, first);
    return null;
  };
}

const TEXT = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': CACHE.noStore };

/** Decided anew when another request was faster: the checkpoint that it left decides then. */
async function addAnswer(deps: WitnessDeps, body: Uint8Array): Promise<Answer> {
  for (;;) {
    try {
      return await addOnce(deps, body);
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
    }
  }
}

async function addOnce({ cosigner, log }: WitnessDeps, body: Uint8Array): Promise<Answer> {
  const keys = log();
  const latest = keys && cosigner.latest(logHash(keys.name));
  const decision = decideAddCheckpoint(body, (origin) =>
    keys?.name === origin ? { vkeys: keys.vkeys, latest: latest?.checkpoint ?? null } : null,
  );
  if (decision.status === 409) {
    return { status: 409, headers: { ...TEXT, 'content-type': TLOG_SIZE_TYPE }, body: utf8(`${decision.size}\n`) };
  }
  if (decision.status !== 200) return { status: decision.status, headers: TEXT, body: utf8(`${decision.reason}\n`) };
  const bare = withoutCosignatures(decision.note, keys as LogKeys);
  const { line } = await cosigner.cosign(bare, latest);
  return { status: 200, headers: TEXT, body: utf8(line) };
}

/** Monitoring: the newest checkpoint that this witness cosigned. */
function latestAnswer({ cosigner }: WitnessDeps, { method, headers }: Incoming, log: string): Answer {
  if (method !== 'GET' && method !== 'HEAD') {
    return problemAnswer(405, 'method-not-allowed', 'use GET here', { allow: 'GET' });
  }
  const latest = /^[0-9a-f]{64}$/.test(log) ? cosigner.latest(log) : null;
  if (!latest) throw new NotFoundError('this witness has not cosigned that log');
  const body = utf8(latest.note);
  const etag = etagOf('cosigned', latest.note);
  const plan = planRead(method, headers, { etag, size: body.length, allowRange: false });
  const all = { ...TEXT, 'cache-control': CACHE.checkpoint, ...plan.headers };
  return { status: plan.status, headers: all, body: plan.body ? body : null };
}
