/**
 * The newest checkpoint with what others say of it: the origin's own cosignature, anew each minute, since a quiet log is
 * not a frozen one; those of witnesses; and those of the hosts that hold all of it, told in their heartbeats. Whatever is
 * of an older checkpoint is not served any more, but tells how far a host has come.
 */
import { isPlausible } from '../../core/checkpoint-age.ts';
import { cosign } from '../../core/cosignature.ts';
import {
  type Cosigned,
  type LogKeys,
  openCosigned,
  withCosignatures,
  withoutCosignatures,
} from '../../core/cosigned.ts';
import { ForbiddenError, UnauthorizedError } from '../../core/errors.ts';
import { checkMirrorKey } from '../../core/host-keys.ts';
import { COSIGNATURES_SERVED_MAX } from '../../core/limits.ts';
import type { CosignedByHost } from '../../core/membership.ts';
import { splitNote } from '../../core/note.ts';
import { change } from '../../core/tables.ts';
import type { Policy } from '../../core/tlog-policy.ts';
import { Witnessed } from '../../core/witnessed.ts';
import type { SigningKey } from '../../io/key-file.ts';
import type { Logger } from '../../io/logger.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import type { Metrics } from '../../io/metrics.ts';
import type { ForkGuard } from '../log/fork-guard.ts';
import type { Log, Published } from '../log/log.ts';

export type Cosignatures = {
  /** The newest checkpoint with its signatures and cosignatures; null while there is none. */
  note(): string | null;
  /** The newest one that reached the policy's quorum; null before the first, and without a policy. */
  witnessed(): string | null;
  /**
   * Takes in what a host says that it holds, out of a heartbeat that it signed.
   * @throws SignatureError, MalformedError for what is not signed by the log and the host's cosigner key;
   * UnauthorizedError for another key than the one that the host came with first; ForbiddenError for a checkpoint that
   * this log has not published
   */
  take(hostId: string, said: CosignedByHost): Promise<void>;
  /**
   * Takes in a witness's cosignature, which was verified.
   * @param bare the checkpoint with the log's signature alone
   */
  add(vkey: string, cosigned: Cosigned, bare: string): void;
  /** Size of the checkpoint that a host showed last; null before the first. */
  heldBy(hostId: string): number | null;
  /** Begins to cosign; resolves when the newest checkpoint is. */
  start(): Promise<void>;
  close(): Promise<void>;
};

export type CosignaturesDeps = {
  readonly log: Pick<Log, 'checkpoint' | 'subscribe'>;
  readonly guard: Pick<ForkGuard, 'seen'>;
  /** All keys that the log ever had. */
  readonly logKeys: LogKeys;
  /** The origin's own; its vkey is of signature type 0x04. */
  readonly cosigner: SigningKey;
  /** Says what {@link Cosignatures.witnessed} needs; null without one. */
  readonly policy: Policy | null;
  readonly store: Pick<MetadataStore, 'scan' | 'write'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Unix ms. */
  readonly now: () => number;
  /** Between two cosignatures of one checkpoint. Default {@link RENEW_MS}. */
  readonly renewMs?: number;
};

/** How often cosignatures of a checkpoint that still is the newest are made anew. */
const RENEW_MS = 60_000;

/** Setting with the key that a host came with first: `<unix ms of then> <vkey>`. */
const SETTING = 'cosigner-of ';

type OfOthers = { readonly text: string; readonly line: string };

/** Opens what is known of the hosts' cosigner keys. */
export async function openCosignatures(deps: CosignaturesDeps): Promise<Cosignatures> {
  const { log, guard, logKeys, cosigner, store, logger, metrics, now, renewMs = RENEW_MS } = deps;
  const keys = await readKeys(store);
  const byHost = new Map<string, Cosigned>();
  const witnessed = deps.policy && new Witnessed(deps.policy);
  const byWitness = new Map<string, OfOthers>();
  let own: OfOthers | null = null;
  let shown: { readonly of: Published; readonly note: string } | null = null;
  let timer: NodeJS.Timeout | undefined;
  let unsubscribe = (): void => undefined;
  let cosigning = Promise.resolve();

  metrics.gauge('cosignatures', 'Cosignatures that are served with the newest checkpoint', [], (gauge) =>
    gauge.set(linesOf(log.checkpoint()).length),
  );

  async function cosignNewest(): Promise<void> {
    const published = log.checkpoint();
    if (!published) return;
    const { text } = splitNote(published.note);
    own = { text, line: await cosign(text, Math.floor(now() / 1000), cosigner) };
    shown = null;
  }

  /** One after the other, so that the newest wins. */
  function renew(): Promise<void> {
    cosigning = cosigning
      .then(cosignNewest)
      .catch((err) => logger.error({ err }, 'the newest checkpoint was not cosigned'));
    return cosigning;
  }

  /** Of this checkpoint: our own, those of witnesses, those of hosts; who came first stands first. */
  function linesOf(published: Published | null): string[] {
    if (!published) return [];
    const { text } = splitNote(published.note);
    const hosts = [...keys.keys()].map((hostId) => byHost.get(hostId));
    return [own, ...byWitness.values(), ...hosts]
      .filter((one) => one?.text === text)
      .map((one) => (one as OfOthers).line);
  }

  function checkKey(hostId: string, vkey: string): void {
    checkMirrorKey(vkey, hostId);
    const known = keys.get(hostId) ?? vkey;
    if (known === vkey) return;
    throw new UnauthorizedError(`host ${hostId} cosigns with another key than the one that it came with, ${known}`);
  }

  /** A key belongs to a host from the first time that the host cosigned with it. */
  async function bind(hostId: string, vkey: string): Promise<void> {
    if (keys.has(hostId)) return;
    keys.set(hostId, vkey);
    await store.write([change('setting', `${SETTING}${hostId}`, { value: `${now()} ${vkey}` })]);
  }

  /** What this log did not publish convicts its key, or is a mistake of the host's. */
  async function checkPublished({ checkpoint, text }: Cosigned, bare: string): Promise<void> {
    await guard.seen(bare);
    const published = log.checkpoint();
    if (!published || checkpoint.size > published.checkpoint.size) {
      throw new ForbiddenError(`a checkpoint of ${checkpoint.size} entries was never published here`);
    }
    if (checkpoint.size === published.checkpoint.size && text !== splitNote(published.note).text) {
      throw new ForbiddenError(`the checkpoint of ${checkpoint.size} entries is another one here`);
    }
  }

  return {
    note() {
      const published = log.checkpoint();
      if (!published) return null;
      if (shown?.of === published) return shown.note;
      const note = withCosignatures(published.note, linesOf(published), COSIGNATURES_SERVED_MAX);
      shown = { of: published, note };
      return note;
    },

    witnessed: () => witnessed?.note() ?? null,

    async take(hostId, { cosigner: vkey, checkpoint }) {
      checkKey(hostId, vkey);
      const bare = withoutCosignatures(checkpoint, logKeys);
      const cosigned = openCosigned(checkpoint, vkey);
      await checkPublished(cosigned, bare);
      if (!isPlausible(cosigned.time, now() / 1000)) {
        throw new ForbiddenError(`host ${hostId} cosigned at ${cosigned.time}, which is not yet; its clock is wrong`);
      }
      await bind(hostId, vkey);
      byHost.set(hostId, cosigned);
      witnessed?.add(vkey, cosigned, bare);
      shown = null;
    },

    add(vkey, cosigned, bare) {
      byWitness.set(vkey, cosigned);
      witnessed?.add(vkey, cosigned, bare);
      shown = null;
    },

    heldBy: (hostId) => byHost.get(hostId)?.checkpoint.size ?? null,

    async start() {
      unsubscribe = log.subscribe(() => void renew());
      timer = setInterval(() => void renew(), renewMs);
      timer.unref();
      await renew();
    },

    async close() {
      unsubscribe();
      clearInterval(timer);
      await cosigning;
    },
  };
}

/** By host id, in the order in which they came. */
async function readKeys(store: Pick<MetadataStore, 'scan'>): Promise<Map<string, string>> {
  const rows = await store.scan('setting', SETTING);
  const known = rows.map(({ key, row: { value } }) => {
    const [since = '', vkey = ''] = value.split(' ');
    return { hostId: key.slice(SETTING.length), since: Number(since), vkey };
  });
  known.sort((a, b) => a.since - b.since);
  return new Map(known.map(({ hostId, vkey }) => [hostId, vkey]));
}
