import { checkCanonicalDoors, type Door } from '../core/door.ts';
import { UsageError } from '../core/errors.ts';
import { change } from '../core/tables.ts';
import type { Logger } from '../io/logger.ts';
import type { MetadataStore } from '../io/metadata-store.ts';

const UPSTREAM = 'upstream';

/**
 * Settles which registry is followed. That happens at the first start, so that a changed npm configuration doesn't
 * change it.
 * @throws UsageError for an upstream that is no URL, or one that a configured door is not for
 */
export async function settleUpstream(
  metadata: MetadataStore,
  { upstream: given, doors }: { upstream: string | null; doors: readonly Door[] },
  deps: { defaultUpstream: string; canonicalRegistry?: string | null; logger: Logger },
): Promise<string> {
  const stored = (await metadata.get('setting', UPSTREAM))?.value ?? null;
  const chosen = (given ?? stored ?? deps.defaultUpstream).replace(/\/+$/, '');
  if (!/^https?:\/\//.test(chosen))
    throw new UsageError(`the upstream ${JSON.stringify(chosen)} is not an http or https URL`);
  checkCanonicalDoors(doors, chosen, withoutSlash(deps.canonicalRegistry));
  if (stored !== null && stored !== chosen) {
    deps.logger.warn(
      { before: stored, now: chosen },
      'following another upstream than before; everything pinned stays',
    );
  }
  if (stored !== chosen) await metadata.write([change('setting', UPSTREAM, { value: chosen })]);
  return chosen;
}

export const withoutSlash = (url: string | null | undefined): string | null => url?.replace(/\/+$/, '') ?? null;
