/**
 * The upstream's signing keys, pinned at first sight.
 *
 * A key that appears later is an alarm, not a key: what it signed waits until an admin has accepted it. An upstream
 * without keys is taken for what it is; once one of its signatures was verified it is known to sign.
 */
import type { Incident, SignatureVerdict, SigningHabit } from '../core/learn.ts';
import { change, type UpstreamKeyRow } from '../core/tables.ts';
import { type UpstreamKey, type UpstreamSignature, verifyUpstreamSignature } from '../core/upstream-signature.ts';
import type { MetadataStore } from '../io/metadata-store.ts';
import type { Upstream } from '../io/upstream.ts';
import type { Incidents } from './incidents.ts';
import type { Journal } from './journal.ts';

export type UpstreamKeys = {
  /** Asks the upstream for its keys where that is due; failing to is not an error, it is tried again. */
  refresh(): Promise<void>;
  /** Checks `dist.signatures` of a manifest. `time` is the version's publish time, null if unknown. */
  verdict(name: string, version: string, dist: unknown, time: string | null): SignatureVerdict;
  habit(): SigningHabit;
  /** Remembers for good that this upstream signs. To be called once a verdict was good. */
  remember(): Promise<void>;
};

const REFRESH_MS = 60 * 60_000;
const RETRY_MS = 5 * 60_000;
const SIGNS = 'upstream-signs';

export async function openUpstreamKeys(deps: {
  metadata: MetadataStore;
  journal: Journal;
  upstream: Pick<Upstream, 'keys'>;
  incidents: Incidents;
  now: () => number;
}): Promise<UpstreamKeys> {
  const { metadata, journal, upstream, incidents, now } = deps;
  let keys = await pinnedKeys(metadata);
  let remembered = (await metadata.get('setting', SIGNS)) !== null;
  let signs = remembered;
  let due = 0;
  let asking: Promise<void> | null = null;

  async function ask(): Promise<void> {
    const shown = await upstream.keys().catch(() => undefined);
    due = now() + (shown === undefined ? RETRY_MS : REFRESH_MS);
    if (!shown) return;
    const unknown = shown.filter((key) => !keys.some((pinned) => pinned.keyid === key.keyid));
    if (keys.length > 0) return incidents.report(unknown.map(alarm));
    await journal.append(unknown.map((key) => ({ kind: 'upstream-key' as const, ...key, by: 'first-sight' as const })));
    keys = await pinnedKeys(metadata);
  }

  return {
    async refresh() {
      if (now() < due) return;
      asking ??= ask().finally(() => {
        asking = null;
      });
      await asking;
    },
    verdict(name, version, dist, time) {
      const { integrity, signatures } = signedParts(dist);
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

async function pinnedKeys(metadata: MetadataStore): Promise<UpstreamKey[]> {
  const rows = await metadata.scan('upstream-key', '');
  return rows.map(({ key: keyid, row }) => keyOfRow(keyid, row));
}

function keyOfRow(keyid: string, { keytype, scheme, key, expires }: UpstreamKeyRow): UpstreamKey {
  return { keyid, keytype, scheme, key, expires };
}

function alarm(key: UpstreamKey): Incident {
  const detail =
    'the upstream shows a signing key that it did not have before; versions signed with it wait for an admin';
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
