/** Opens what a mirror keeps of packages: fetching heads with all that they name, and giving them to others by hash. */
import { contentAnswer, contentPath } from '../../door/content.ts';
import { createForms, type Forms } from '../../door/forms.ts';
import type { HttpClient } from '../../io/http-client.ts';
import type { Answer, Incoming } from '../../io/http-server.ts';
import type { Logger } from '../../io/logger.ts';
import { type DoorStores, formsFolder } from '../../io/stores.ts';
import { createHeadFetcher, type HeadFetcher } from './fetch-head.ts';

export type Packages = {
  readonly stores: DoorStores;
  readonly heads: HeadFetcher;
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
    readonly logger: Logger;
  },
  cleanups: (() => Promise<void>)[],
): Packages {
  const { dir, stores, client, sources, logger } = parts;
  const { blobs } = stores;
  const note = (err: unknown) => logger.warn({ err }, 'a compressed packument could not be kept on disk');
  const forms = createForms({ folder: formsFolder(dir), blobs, note });
  cleanups.push(() => forms.idle());

  async function answer(incoming: Incoming, path: readonly string[]): Promise<Answer | null> {
    const content = contentPath(path);
    if (!content || !(await blobs.has({ algorithm: 'sha256', hex: content.hash }))) return null;
    incoming.kind = `federation-${content.kind}`;
    return contentAnswer(incoming, content, { blobs, forms });
  }

  return { stores, forms, answer, heads: createHeadFetcher({ blobs, client, sources }) };
}
