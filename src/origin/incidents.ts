/** Incidents: what an operator should know of, listed, counted and logged. */
import type { Incident, IncidentKind } from '../core/learn.ts';
import { change, type IncidentRow, KEY_SEPARATOR } from '../core/tables.ts';
import type { Logger } from '../io/logger.ts';
import type { MetadataStore } from '../io/metadata-store.ts';

export type Incidents = {
  report(incidents: readonly Incident[]): Promise<void>;
  list(): Promise<IncidentRow[]>;
  /** Takes an incident off the list that an admin has dealt with; if it happens again it is a new one. */
  settle(kind: IncidentKind, subject: string): Promise<void>;
};

/** Kinds that stop something until an admin acts. */
const ALARMS: ReadonlySet<IncidentKind> = new Set(['mass-disappearance']);

const keyOf = (kind: string, subject: string): string => `${kind}${KEY_SEPARATOR}${subject}`;

/** Keeps one row per kind and subject, with the first and the last time it was seen and how often. */
export function createIncidents(deps: {
  metadata: MetadataStore;
  logger: Logger;
  now: () => number;
  count: (kind: string) => void;
}): Incidents {
  const { metadata, logger, now, count } = deps;
  return {
    async report(incidents) {
      for (const { kind, subject, detail } of incidents) {
        const key = keyOf(kind, subject);
        const before = await metadata.get('incident', key);
        const first = before?.first ?? now();
        const row: IncidentRow = { kind, subject, detail, first, last: now(), count: (before?.count ?? 0) + 1 };
        await metadata.write([change('incident', key, row)]);
        if (before) continue;
        count(kind);
        logger[ALARMS.has(kind) ? 'error' : 'warn']({ kind, subject, detail }, 'incident');
      }
    },
    async list() {
      return (await metadata.scan('incident', '')).map(({ row }) => row);
    },
    async settle(kind, subject) {
      if (!(await metadata.get('incident', keyOf(kind, subject)))) return;
      await metadata.write([change('incident', keyOf(kind, subject), null)]);
      logger.info({ kind, subject }, 'incident settled');
    },
  };
}
