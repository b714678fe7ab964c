/**
 * The signed list of hosts that this origin serves.
 *
 * Order: compose, sign, store (commit point), then serve and tell the feeds. A crash before the commit point leaves the
 * old list; after it, the next start serves the stored one. So no two lists ever carry the same serial, and a reader that
 * saw a serial never meets an older list here.
 */
import { utf8 } from '../../core/bytes.ts';
import { formatHostsList, type HostsList, openHostsList } from '../../core/hosts-list.ts';
import { etagOf } from '../../core/http-semantics.ts';
import { signNote } from '../../core/note.ts';
import { change } from '../../core/tables.ts';
import type { SigningKey } from '../../io/key-file.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';

const SETTING = 'hosts-list';

export type PublishedList = { readonly list: HostsList; readonly note: Uint8Array; readonly etag: string };

export type HostListPublisher = {
  /** Null until the first list was published. */
  current(): PublishedList | null;
  /** Publishes a list with this content, unless it is what the current one says already. Not to be called concurrently. */
  publish(content: Pick<HostsList, 'doors' | 'hosts'>): Promise<void>;
};

export async function createHostListPublisher(deps: {
  store: MetadataStore;
  logName: string;
  hostsKey: SigningKey;
  now: () => number;
  /** Told the serial of a list that is now served. */
  published: (serial: number) => void;
}): Promise<HostListPublisher> {
  const stored = await deps.store.get('setting', SETTING);
  let current = stored && publishedOf(openHostsList(stored.value, deps.hostsKey.vkey, deps.logName), stored.value);

  return {
    current: () => current,
    async publish({ doors, hosts }) {
      if (current && sameContent(current.list, { doors, hosts })) return;
      const time = Math.max(current?.list.time ?? 0, deps.now());
      const list: HostsList = { log: deps.logName, serial: (current?.list.serial ?? 0) + 1, time, doors, hosts };
      const note = await signNote(formatHostsList(list), [deps.hostsKey]);
      await deps.store.write([change('setting', SETTING, { value: note })]);
      current = publishedOf(list, note);
      deps.published(list.serial);
    },
  };
}

function publishedOf(list: HostsList, note: string): PublishedList {
  return { list, note: utf8(note), etag: etagOf('hosts', note) };
}

function sameContent(list: HostsList, content: Pick<HostsList, 'doors' | 'hosts'>): boolean {
  const same = { ...list, ...content };
  return formatHostsList(same) === formatHostsList(list);
}
