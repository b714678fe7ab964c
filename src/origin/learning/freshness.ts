/** When the upstream was last asked about a package, in memory and, for restarts, in a local table. */
import { change, type UpstreamRow } from '../../core/tables.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';

export type Freshness = {
  /**
   * `isFresh`: no need to ask. `postponed`: fresh only because asking failed a moment ago.
   * `isAbsent`: the upstream said that there is no such package, or showed nothing of it that may be published.
   * `isHeldBack`: the latter; the row has the document's hash then.
   */
  of(name: string): Promise<{ isFresh: boolean; postponed: boolean; isAbsent: boolean; isHeldBack: boolean }>;
  /** What a conditional request needs. */
  validators(name: string): Promise<UpstreamRow | null>;
  checked(name: string, row: Omit<UpstreamRow, 'checked'>): Promise<void>;
  /** The upstream is to be asked at the next look as if for the first time: what it showed counts otherwise now. */
  expire(name: string): Promise<void>;
  /** Asking failed: not to be tried again for a few seconds. */
  postpone(name: string): void;
  isVersionAbsent(name: string, version: string): boolean;
  versionIsAbsent(name: string, version: string): void;
};

const NAMES_MAX = 50_000;
const POSTPONE_MS = 5_000;

export function createFreshness(deps: { metadata: MetadataStore; freshnessMs: number; now: () => number }): Freshness {
  const { metadata, freshnessMs, now } = deps;
  const rows = new Map<string, UpstreamRow>();
  const postponed = new Map<string, number>();
  const absentVersions = new Map<string, number>();

  async function rowOf(name: string): Promise<UpstreamRow | null> {
    const known = rows.get(name);
    if (known) return known;
    const stored = await metadata.get('upstream', name);
    if (stored) remember(rows, name, stored);
    return stored;
  }

  return {
    async of(name) {
      const row = await rowOf(name);
      const age = row ? now() - row.checked : Number.POSITIVE_INFINITY;
      // A time in the future comes from a clock that was wrong; it says nothing.
      const inBound = age >= 0 && age < freshnessMs;
      const isPostponed = !inBound && (postponed.get(name) ?? 0) > now();
      const isAbsent = row?.absent ?? false;
      const isHeldBack = isAbsent && row?.body != null;
      return { isFresh: inBound || isPostponed, postponed: isPostponed, isAbsent, isHeldBack };
    },
    validators: rowOf,
    async checked(name, fields) {
      const row = { ...fields, checked: now() };
      postponed.delete(name);
      remember(rows, name, row);
      await metadata.write([change('upstream', name, row)]);
    },
    async expire(name) {
      rows.delete(name);
      postponed.delete(name);
      for (const key of absentVersions.keys()) if (key.startsWith(`${name}@`)) absentVersions.delete(key);
      await metadata.write([change('upstream', name, null)]);
    },
    postpone: (name) => remember(postponed, name, now() + POSTPONE_MS),
    isVersionAbsent: (name, version) => (absentVersions.get(`${name}@${version}`) ?? 0) > now(),
    versionIsAbsent: (name, version) => remember(absentVersions, `${name}@${version}`, now() + freshnessMs),
  };
}

function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > NAMES_MAX) map.delete(map.keys().next().value as string);
}
