/** What an intake puts into the journal. */
import { utf8 } from '../../core/bytes.ts';
import { ConflictError, NotFoundError } from '../../core/errors.ts';
import { asReason } from '../../core/fields.ts';
import { sha256Hex } from '../../core/hash.ts';
import { formatVersionEntry } from '../../core/head.ts';
import type { Incident } from '../../core/learn.ts';
import type { PackageView } from '../index/package-index.ts';
import type { NewEntry } from '../log/log-batch.ts';
import type { ComposedHead } from './compose-head.ts';
import type { TakenPackument } from './take-packument.ts';

/** Seconds within which every holder drops withdrawn bytes. */
const WITHDRAW_DEADLINE_S = 3600;

/** `reason` is for everybody to read: it is journaled. */
export type RepinOrder = { readonly version: string; readonly reason: string };

/** A version, or `*` for the whole package, and why. */
export type Withdrawn = { readonly version: string; readonly reason: string };

export const withdrawnIncident = (name: string, { version, reason }: Withdrawn): Incident => ({
  kind: 'withdrawn',
  subject: `${name}@${version}`,
  detail: reason,
});

export function withdrawalsOf(name: string, withdrawn: readonly Withdrawn[]): NewEntry[] {
  return withdrawn.map(({ version, reason }) => ({
    ...{ kind: 'withdraw' as const, name, version, deadline: WITHDRAW_DEADLINE_S, reason: asReason(reason) },
  }));
}

/** In this order: a head lists what was pinned anew before it. */
export function entriesFor(taken: TakenPackument, composed: ComposedHead, repin: Repinned | null): NewEntry[] {
  const { name } = taken;
  const repins = repin ? [{ kind: 'repin' as const, name, ...repin.order, entry: repin.entry }] : [];
  return [...withdrawalsOf(name, taken.withdrawn), ...repins, { kind: 'learned', name, head: composed.hash }];
}

/** An order that can be carried out. `entry` is the SHA-256 of `line`, the version entry that counts from now on. */
export type Repinned = { readonly order: RepinOrder; readonly line: Uint8Array; readonly entry: string };

export function repinnedBy(order: RepinOrder, taken: TakenPackument, view: PackageView): Repinned {
  const subject = `${view.name}@${order.version}`;
  if (!view.rows.has(order.version)) throw new NotFoundError(`${subject} was never pinned here`);
  const found = taken.entries.find(({ version }) => version === order.version);
  if (!found) {
    const held = taken.incidents.find((incident) => incident.subject === subject);
    if (held) throw new ConflictError(`${subject} can't be pinned as the upstream shows it now: ${held.kind}`);
    throw new NotFoundError(`the upstream shows no ${subject}`);
  }
  const line = utf8(formatVersionEntry(found));
  return { order, line, entry: sha256Hex(line) };
}
