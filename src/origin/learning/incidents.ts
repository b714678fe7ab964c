/** Incidents: what an operator should know of, listed, counted and logged. */
import type { Incident, IncidentKind } from '../../core/learn.ts';
import { change, type IncidentRow, KEY_SEPARATOR } from '../../core/tables.ts';
import type { Logger } from '../../io/logger.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import { Turn } from '../../io/turn.ts';

export type Incidents = {
  report(incidents: readonly Incident[]): Promise<void>;
  list(): Promise<IncidentRow[]>;
  /** Takes an incident off the list that an admin has dealt with; if it happens again it is a new one. */
  settle(kind: IncidentKind, subject: string): Promise<void>;
};

/** Kinds that stop something until an admin acts. */
const ALARMS: ReadonlySet<IncidentKind> = new Set(['mass-disappearance']);

/** Lines in the log for one report. */
const LINES_MAX = 20;
/** So that no write holds up others for long. */
const ROWS_PER_WRITE = 1_000;

const keyOf = (kind: string, subject: string): string => `${kind}${KEY_SEPARATOR}${subject}`;

/** Keeps one row per kind and subject, with the first and the last time it was seen and how often. */
export function createIncidents(deps: {
  metadata: MetadataStore;
  logger: Logger;
  now: () => number;
  count: (kind: string) => void;
}): Incidents {
  const { metadata, logger, now, count } = deps;

  async function rowOf({ kind, subject, detail }: Incident): Promise<IncidentRow> {
    const before = await metadata.get('incident', keyOf(kind, subject));
    return { kind, subject, detail, first: before?.first ?? now(), last: now(), count: (before?.count ?? 0) + 1 };
  }

  function store(rows: readonly IncidentRow[]): Promise<void> {
    return metadata.write(rows.map((row) => change('incident', keyOf(row.kind, row.subject), row)));
  }

  function tell(fresh: readonly IncidentRow[]): void {
    for (const { kind, subject, detail } of fresh.slice(0, LINES_MAX)) {
      logger[ALARMS.has(kind as IncidentKind) ? 'error' : 'warn']({ kind, subject, detail }, 'incident');
    }
    const more = fresh.length - LINES_MAX;
    if (more > 0) logger.warn({ more }, 'more incidents of the same look; "packages incidents" lists them');
  }

  return {
    // In few writes, since each waits for the disk: one package may have tens of thousands of versions that are wrong.
    async report(incidents) {
      const turn = new Turn();
      const rows: IncidentRow[] = [];
      for (const one of new Map(
        incidents.map((incident) => [keyOf(incident.kind, incident.subject), incident]),
      ).values()) {
        if (turn.isSpent()) await turn.give();
        rows.push(await rowOf(one));
      }
      for (let at = 0; at < rows.length; at += ROWS_PER_WRITE) await store(rows.slice(at, at + ROWS_PER_WRITE));
      const fresh = rows.filter((row) => row.count === 1);
      for (const { kind } of fresh) count(kind);
      tell(fresh);
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
