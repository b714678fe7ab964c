/** Opens what a mirror keeps of packages: fetching heads with all that they name, and giving them to others by hash. */
import { type ContentPath, contentAnswer, contentPath } from '../../door/content.ts';
import { createForms, type Forms } from '../../door/forms.ts';
import type { HttpClient } from '../../io/http-client.ts';
import type { Answer, Incoming } from '../../io/http-server.ts';
import type { Logger } from '../../io/logger.ts';
import type { Metrics } from '../../io/metrics.ts';
import type { SharedBudget } from '../../io/shared-budget.ts';
import { type DoorStores, formsFolder } from '../../io/stores.ts';
import { type ContentFetcher, createContentFetcher } from '../blobs/fetch-content.ts';
import { createHeadFetcher, type HeadFetcher } from './fetch-head.ts';
import { createKeptPackages, type KeptPackages, type LetGoStep } from './kept-packages.ts';
import { createPackageContents, type PackageContents } from './package-contents.ts';

export type Packages = {
  readonly stores: DoorStores;
  readonly heads: HeadFetcher;
  /** Parts of packages by their hashes, of which only what is stored is kept. */
  readonly content: ContentFetcher;
  readonly contents: PackageContents;
  readonly kept: KeptPackages;
  readonly forms: Forms;
  /** Answers for a path under `/-/federation/`; null for paths and blobs that are not of packages. */
  readonly answer: (incoming: Incoming, path: readonly string[]) => Promise<Answer | null>;
};

/** @param cleanups gets what has to be closed after the server */
export function openPackages(
  parts: {
    readonly dir: string;
    readonly stores: DoorStores;
    readonly client: HttpClient;
    /** Base URLs, in the order in which to ask them. */
    readonly sources: readonly string[];
    readonly budget: SharedBudget | null;
    readonly logger: Logger;
    readonly metrics: Metrics;
    /** Unix ms. */
    readonly now: () => number;
    readonly step?: (name: LetGoStep) => void;
  },
  cleanups: (() => Promise<void>)[],
): Packages {
  const { dir, stores, client, sources, budget, logger } = parts;
  const { blobs, heads } = stores;
  const note = (err: unknown) => logger.warn({ err }, 'a compressed packument could not be kept on disk');
  const forms = createForms({ folder: formsFolder(dir), blobs, note, budget });
  cleanups.push(() => forms.idle());
  const contents = createPackageContents(stores);
  const kept = createKeptPackages({ ...parts, forget: contents.forget });
  cleanups.push(() => kept.close());

  async function answerStored(incoming: Incoming, content: ContentPath): Promise<Answer | null> {
    if (!(await blobs.has({ algorithm: 'sha256', hex: content.hash }))) return null;
    incoming.kind = `federation-${content.kind}`;
    return contentAnswer(incoming, content, { blobs, forms });
  }

  async function answer(incoming: Incoming, path: readonly string[]): Promise<Answer | null> {
    const content = contentPath(path);
    if (!content) return null;
    // Whoever begins with the head comes for the rest of the package, too.
    const name = content.kind === 'blob' ? null : heads.nameOf(content.hash);
    return name === null ? answerStored(incoming, content) : kept.during(name, () => answerStored(incoming, content));
  }

  const content = createContentFetcher({ stored: [blobs], client, sources });
  const fetcher = createHeadFetcher({ blobs, put: (head, fresh) => kept.put(head, fresh), content });
  return { stores, forms, content, contents, kept, answer, heads: fetcher };
}
