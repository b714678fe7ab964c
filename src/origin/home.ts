/** The root of a door: a page for people, a few facts for programs. */
import { toBase64 } from '../core/bytes.ts';
import { parseCheckpoint } from '../core/checkpoint.ts';
import { cosignersNamed } from '../core/cosignature.ts';
import type { Door } from '../core/door.ts';
import { CACHE } from '../core/http-semantics.ts';
import { splitNote } from '../core/note.ts';
import type { HostView } from '../core/selection.ts';
import { type Answer, type Incoming, jsonAnswer } from '../io/http-server.ts';
import type { HomeLog } from '../web/home-log.ts';
import { HOME_HEADERS, type MirrorState, renderHomePage, wantsPage } from '../web/home-page.ts';
import type { ChangedPackages } from './changes/changed-packages.ts';
import type { Cosignatures } from './cosigning/cosignatures.ts';
import type { Hosts } from './hosts/hosts.ts';
import type { ForkGuard } from './log/fork-guard.ts';

export type HomeDeps = {
  readonly hosts: Pick<Hosts, 'views'>;
  readonly packages: Pick<ChangedPackages, 'newest' | 'count'>;
  readonly cosignatures: Pick<Cosignatures, 'note'>;
  readonly guard: Pick<ForkGuard, 'halted'>;
  /** Of the log key. */
  readonly vkey: string;
  /** Name of the origin's own cosigner. */
  readonly cosigner: string;
  readonly version: string;
};

export function createHome(deps: HomeDeps): (incoming: Incoming, door: Door) => Promise<Answer> {
  const { packages, version } = deps;
  return async ({ headers: asked }, door) => {
    const registry = `${door.url}/`;
    const headers = { 'cache-control': CACHE.noStore, vary: 'Accept' };
    if (!wantsPage(asked.accept)) {
      const facts = { registry, software: 'open-registry', version };
      return jsonAnswer(200, { ...facts, ...(await replicationFacts(packages)) }, headers);
    }
    const mirrors = deps.hosts
      .views()
      .filter((host) => host.approved && !host.private)
      .map((host) => ({ url: host.url, state: stateOf(host) }));
    const page = renderHomePage({ registry, redirects: door.rule !== 'self', mirrors, log: logOf(deps), version });
    return { status: 200, headers: { ...headers, ...HOME_HEADERS }, body: Buffer.from(page) };
  };
}

/** What followers of the replication feed look for before they start (CouchDB documentation, `GET /{db}`). */
async function replicationFacts(packages: HomeDeps['packages']): Promise<object> {
  const [doc_count, update_seq] = await Promise.all([packages.count(), packages.newest()]);
  return { db_name: 'registry', engine: 'open-registry', doc_count, update_seq, instance_start_time: '0' };
}

function stateOf({ present, healthy, behind, withdrawals }: HostView): MirrorState {
  if (!present) return 'away';
  if (!healthy || withdrawals === 'kept') return 'unwell';
  return behind || withdrawals === 'missed' ? 'behind' : 'serving';
}

function logOf({ cosignatures, guard, vkey, cosigner }: HomeDeps): HomeLog {
  const note = cosignatures.note();
  const halted = guard.halted();
  if (note === null) return { checkpoint: null, vkey, confirmed: null, halted };
  const { size, root } = parseCheckpoint(splitNote(note).text);
  return { checkpoint: { size, root: toBase64(root) }, vkey, confirmed: confirmation(note, cosigner), halted };
}

/** Cosignatures were verified when they were taken in. */
function confirmation(note: string, own: string): HomeLog['confirmed'] {
  const cosigned = cosignersNamed(note);
  if (cosigned.length === 0) return null;
  const others = new Set(cosigned.map(({ name }) => name).filter((name) => name !== own)).size;
  const self = cosigned.some(({ name }) => name === own) ? ['this server'] : [];
  const rest = others === 0 ? [] : [others === 1 ? 'one other' : `${others.toLocaleString('en')} others`];
  return {
    by: `cosigned by ${[...self, ...rest].join(' and ')}`,
    at: Math.max(...cosigned.map(({ time }) => time)) * 1000,
  };
}
