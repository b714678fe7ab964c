/**
 * Withdrawn tarballs at the origin: dropped from its own store as well, and kept in mind to ask hosts for them.
 *
 * The log's own entries are read, once the tables show them. How far is durable, together with the latest withdrawals; a
 * crash before that reads the same entries again, which is harmless. Manifests stay: they are what the log names.
 */
import { type Entry, looksLike, parseEntry } from '../../core/entry.ts';
import { parsePinned } from '../../core/integrity.ts';
import { change, nameOfKey, versionKey, versionOfKey, versionPrefix } from '../../core/tables.ts';
import { type WatchedWithdrawal, WithdrawalWatch, type WithdrawnTarball } from '../../core/withdrawal-watch.ts';
import type { Bell } from '../../io/bell.ts';
import type { BlobStore } from '../../io/blob-store.ts';
import type { Logger } from '../../io/logger.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import { Turn } from '../../io/turn.ts';
import { versionsPinning } from './pinned-versions.ts';
import type { Tarballs } from './tarballs.ts';

export type WithdrawnTarballs = {
  readonly watch: WithdrawalWatch;
  /** Whether a version was withdrawn that has these bytes, and no other has them. */
  isGone(sha512: string): Promise<boolean>;
  /** Stops; resolves when nothing is under way any more. */
  close(): Promise<void>;
};

export type WithdrawnTarballsDeps = {
  readonly metadata: MetadataStore;
  readonly store: Pick<BlobStore, 'has' | 'delete'>;
  readonly tarballs: Pick<Tarballs, 'sha512Of' | 'idle'>;
  /** Rings when the tables have changed. */
  readonly changed: Pick<Bell, 'rung' | 'wait'>;
  readonly logger: Logger;
};

type Withdraw = Extract<Entry, { kind: 'withdraw' }>;
type Known = { readonly at: number; readonly recent: readonly WatchedWithdrawal[] };

const SETTING = 'withdrawn-tarballs';
const PAGE_ENTRIES = 500;
/** Where nothing is withdrawn, how far was read is stored only now and then. */
const UNSTORED_MAX = 10_000;
/** Of one withdrawal, so many tarballs are kept in mind. */
const WATCHED_MAX = 4;

/** Begins in the background, where the last run ended. */
export async function openWithdrawnTarballs(deps: WithdrawnTarballsDeps): Promise<WithdrawnTarballs> {
  const row = await deps.metadata.get('setting', SETTING);
  const reader = new Reader(deps, row ? (JSON.parse(row.value) as Known) : { at: 0, recent: [] });
  const stopping = new AbortController();
  const running = reader.run(stopping.signal).catch((err) => {
    deps.logger.error({ err }, 'withdrawn tarballs are no longer dropped; restart this server');
  });
  return {
    watch: reader.watch,
    isGone: (sha512) => isGone(deps.metadata, sha512),
    async close() {
      stopping.abort();
      await running;
      await reader.idle();
    },
  };
}

class Reader {
  readonly watch = new WithdrawalWatch();
  readonly #deps: WithdrawnTarballsDeps;
  readonly #lateDrops = new Set<Promise<void>>();
  #at: number;
  #stored: number;

  constructor(deps: WithdrawnTarballsDeps, { at, recent }: Known) {
    this.#deps = deps;
    this.#at = at;
    this.#stored = at;
    for (const withdrawal of recent) this.watch.note(withdrawal);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { metadata, changed } = this.#deps;
    for (;;) {
      const seen = changed.rung();
      for (let folded = await metadata.folded(); this.#at < folded; folded = await metadata.folded()) {
        await this.#page(Math.min(PAGE_ENTRIES, folded - this.#at));
        if (signal.aborted) return;
      }
      if ((await changed.wait(seen, null, signal)) === 'over') return;
    }
  }

  async idle(): Promise<void> {
    await Promise.all(this.#lateDrops);
  }

  async #page(count: number): Promise<void> {
    const entries = await this.#deps.metadata.entries(this.#at, count);
    const turn = new Turn();
    let isNews = false;
    for (const [offset, bytes] of entries.entries()) {
      if (turn.isSpent()) await turn.give();
      const entry = looksLike('withdraw', bytes) ? parseEntry(bytes) : null;
      if (entry?.kind !== 'withdraw') continue;
      await this.#withdraw(entry, this.#at + offset);
      isNews = true;
    }
    this.#at += entries.length;
    if (isNews || this.#at - this.#stored >= UNSTORED_MAX) await this.#store();
  }

  async #withdraw(entry: Withdraw, index: number): Promise<void> {
    const gone: WithdrawnTarball[] = [];
    for (const tarball of await this.#tarballsOf(entry)) {
      if (await isGone(this.#deps.metadata, tarball.sha512)) gone.push(tarball);
    }
    await this.#drop(gone);
    const { time, deadline } = entry;
    this.watch.note({ index, time, deadline, tarballs: gone.slice(0, WATCHED_MAX) });
    if (gone.length > 0) this.#dropLater(gone);
  }

  /** As far as their sha512 is known: of others nothing is stored. */
  async #tarballsOf({ name, version }: Withdraw): Promise<WithdrawnTarball[]> {
    const { metadata, tarballs } = this.#deps;
    const prefix = version === '*' ? versionPrefix(name) : versionKey(name, version);
    const rows = (await metadata.scan('version', prefix)).filter(({ key }) => version === '*' || key === prefix);
    const found: WithdrawnTarball[] = [];
    for (const { key, row } of rows) {
      const sha512 = await tarballs.sha512Of(parsePinned(row.pinned));
      if (sha512 !== null) found.push({ sha512, subject: `${nameOfKey(key)}@${versionOfKey(key)}` });
    }
    return found;
  }

  async #drop(gone: readonly WithdrawnTarball[]): Promise<void> {
    const { store, logger } = this.#deps;
    for (const { sha512: hex, subject } of gone) {
      const id = { algorithm: 'sha512', hex } as const;
      if (!(await store.has(id))) continue;
      await store.delete(id);
      logger.info({ subject, sha512: hex }, 'a withdrawn tarball was dropped');
    }
  }

  /** What was on its way from the upstream when it was withdrawn is there a moment later. */
  #dropLater(gone: readonly WithdrawnTarball[]): void {
    const dropping = this.#deps.tarballs
      .idle()
      .then(async () => {
        for (const one of gone) if (await isGone(this.#deps.metadata, one.sha512)) await this.#drop([one]);
      })
      .catch((err) => this.#deps.logger.error({ err }, 'a withdrawn tarball could not be dropped'))
      .finally(() => this.#lateDrops.delete(dropping));
    this.#lateDrops.add(dropping);
  }

  async #store(): Promise<void> {
    const known: Known = { at: this.#at, recent: this.watch.recent() };
    await this.#deps.metadata.write([change('setting', SETTING, { value: JSON.stringify(known) })]);
    this.#stored = this.#at;
  }
}

async function isGone(metadata: Pick<MetadataStore, 'get' | 'scan'>, sha512: string): Promise<boolean> {
  const content = await metadata.get('content', sha512);
  const pins = [`sha512:${sha512}`, ...(content ? [content.pinned] : [])];
  let isKnown = false;
  for (const pinned of pins) {
    for await (const { isWithdrawn } of versionsPinning(metadata, pinned)) {
      if (!isWithdrawn) return false;
      isKnown = true;
    }
  }
  return isKnown;
}
