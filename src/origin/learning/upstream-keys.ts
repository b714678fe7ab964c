/**
 * The upstream's signing keys, pinned at first sight.
 *
 * A key that appears or changes later is an alarm, not a key: what it signed waits until an admin has accepted it. An upstream
 * without keys is taken for what it is; once one of its signatures was verified it is known to sign.
 */
import { NotFoundError, quote, UpstreamError } from '../../core/errors.ts';
import type { Incident, SignatureVerdict, SigningHabit } from '../../core/learn.ts';
import { change, type UpstreamKeyRow } from '../../core/tables.ts';
import { type UpstreamKey, type UpstreamSignature, verifyUpstreamSignature } from '../../core/upstream-signature.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import type { Upstream } from '../../io/upstream.ts';
import type { Log } from '../log/log.ts';
import type { Incidents } from './incidents.ts';

export type UpstreamKeys = {
  /** Asks the upstream for its keys where that is due; failing to is not an error, it is tried again. */
  refresh(): Promise<void>;
  /** Checks `dist.signatures` of a manifest. `time` is the version's publish time, null if unknown. */
  verdict(name: string, version: string, dist: unknown, time: string | null): SignatureVerdict;
  habit(): SigningHabit;
  /** Asks the upstream, and answers with the keys that count and those that it shows and that wait for an admin. */
  list(): Promise<{ pinned: PinnedKey[]; waiting: UpstreamKey[] }>;
  /**
   * Lets a key that waits count, by an admin's order; nothing happens if it counts already.
   * @throws NotFoundError if the upstream shows no such key, UpstreamError if it can't be asked
   */
  accept(keyid: string): Promise<void>;
  /** Remembers for good that this upstream signs. To be called once a verdict was good. */
  remember(): Promise<void>;
};

export type PinnedKey = UpstreamKey & { readonly by: UpstreamKeyRow['by'] };

const REFRESH_MS = 60 * 60_000;
const RETRY_MS = 10_000;
const SIGNS = 'upstream-signs';

export async function openUpstreamKeys(deps: {
  metadata: MetadataStore;
  log: Log;
  upstream: Pick<Upstream, 'keys'>;
  incidents: Incidents;
  now: () => number;
}): Promise<UpstreamKeys> {
  const { metadata, log, upstream, incidents, now } = deps;
  let keys = await pinnedKeys(metadata);
  let remembered = (await metadata.get('setting', SIGNS)) !== null;
  let signs = remembered;
  let due = 0;
  // Why the keys of an upstream that was never seen to have any, or to have none, could not be had.
  let unknown: unknown = keys.length > 0 ? null : new Error('not asked yet');
  let asking: Promise<unknown> | null = null;
  let shown: readonly UpstreamKey[] = [];

  const waiting = (): UpstreamKey[] => shown.filter((key) => !keys.some((pinned) => isSameKey(pinned, key)));

  /** The upstream's word alone counts at first sight only. */
  async function take(found: UpstreamKey[]): Promise<void> {
    shown = found;
    if (keys.length > 0) return incidents.report(waiting().map((key) => alarm(key, keys)));
    await log.append(found.map((key) => ({ kind: 'upstream-key' as const, ...key, by: 'first-sight' as const })));
    keys = await pinnedKeys(metadata);
  }

  /** @returns why the upstream could not be asked; null if it could */
  async function ask(): Promise<unknown> {
    due = now() + RETRY_MS;
    const found = await upstream.keys().catch((error: unknown) => ({ error }));
    if (found && 'error' in found) {
      if (unknown !== null) unknown = found.error;
      return found.error;
    }
    unknown = null;
    due = now() + REFRESH_MS;
    await take(found ?? []);
    return null;
  }

  function renew(): Promise<unknown> {
    asking ??= ask().finally(() => {
      asking = null;
    });
    return asking;
  }

  return {
    async refresh() {
      if (now() >= due) await renew();
    },
    async list() {
      await renew();
      return { pinned: keys, waiting: waiting() };
    },
    async accept(keyid) {
      const failure = await renew();
      if (failure !== null) throw failure;
      const key = waiting().find((shownKey) => shownKey.keyid === keyid);
      if (!key && !keys.some((pinned) => pinned.keyid === keyid)) {
        throw new NotFoundError(`the upstream shows no key ${quote(keyid)}`);
      }
      if (!key) return;
      await log.append([{ kind: 'upstream-key', ...key, by: 'admin' }]);
      keys = await pinnedKeys(metadata);
    },
    verdict(name, version, dist, time) {
      const { integrity, signatures } = signedParts(dist);
      if (unknown !== null && signatures.length > 0) throw keysUnknown(unknown);
      const publishedAt = time === null ? null : Date.parse(time);
      const verdict = verifyUpstreamSignature({ name, version, integrity, signatures, keys, publishedAt });
      if (verdict.ok) signs = true;
      return verdict;
    },
    habit: () => ({ hasKeys: keys.length > 0, signs }),
    async remember() {
      if (!signs || remembered) return;
      await metadata.write([change('setting', SIGNS, { value: 'true' })]);
      remembered = true;
    },
  };
}

/** Pinning what is signed without a look at the signature would be for ever; asking again is not. */
function keysUnknown(cause: unknown): UpstreamError {
  const reason = `it signs its versions, and its keys could not be fetched: ${cause instanceof Error ? cause.message : cause}`;
  return new UpstreamError({ what: 'upstream', reason }, { cause });
}

async function pinnedKeys(metadata: MetadataStore): Promise<PinnedKey[]> {
  const rows = await metadata.scan('upstream-key', '');
  return rows.map(({ key: keyid, row }) => keyOfRow(keyid, row));
}

function keyOfRow(keyid: string, { keytype, scheme, key, expires, by }: UpstreamKeyRow): PinnedKey {
  return { keyid, keytype, scheme, key, expires, by };
}

const isSameKey = (a: UpstreamKey, b: UpstreamKey): boolean =>
  a.keyid === b.keyid && a.key === b.key && a.expires === b.expires;

function alarm(key: UpstreamKey, pinned: readonly UpstreamKey[]): Incident {
  const isKnown = pinned.some(({ keyid }) => keyid === key.keyid);
  const detail = isKnown
    ? 'the upstream now shows this signing key with another value or expiry; the pinned one counts until an admin accepts'
    : 'the upstream shows a signing key that it did not have before; versions signed with it wait for an admin';
  return { kind: 'new-upstream-key', subject: key.keyid, detail };
}

/** The signed parts of a `dist`, as strangers may have written it. */
function signedParts(dist: unknown): { integrity: string | null; signatures: UpstreamSignature[] } {
  const { integrity, signatures } = (dist ?? {}) as { integrity?: unknown; signatures?: unknown };
  return {
    integrity: typeof integrity === 'string' ? integrity : null,
    signatures: Array.isArray(signatures) ? signatures.filter(isSignature) : [],
  };
}

function isSignature(value: unknown): value is UpstreamSignature {
  const { keyid, sig } = (value ?? {}) as { keyid?: unknown; sig?: unknown };
  return typeof keyid === 'string' && typeof sig === 'string';
}
