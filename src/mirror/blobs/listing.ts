/** What the log lists, and whether it has withdrawn it since. */
import { WithdrawnError } from '../../core/errors.ts';
import { versionKey } from '../../core/tables.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';

/** A version, and the entry of the log by whose head, or by which itself, it is listed. */
export type Listing = { readonly name: string; readonly version: string; readonly index: number };

/** Whether the version, or its whole package, was withdrawn after that entry. */
export async function isWithdrawn(tables: Pick<MetadataStore, 'get'>, listing: Listing): Promise<boolean> {
  const { name, version, index } = listing;
  const rows = await Promise.all([version, '*'].map((one) => tables.get('withdrawn', versionKey(name, one))));
  return rows.some((row) => row !== null && row.index > index);
}

/** @throws WithdrawnError with the log's reason if the version was withdrawn after that entry */
export async function refuseWithdrawn(tables: Pick<MetadataStore, 'get'>, listing: Listing): Promise<void> {
  const { name, version, index } = listing;
  const row = await tables.get('withdrawn', versionKey(name, version));
  if (row && row.index > index) throw new WithdrawnError({ subject: `${name}@${version}`, reason: row.reason });
}
