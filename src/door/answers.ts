/** What a door answers about a package, whoever keeps the door: origin or mirror. */
import { type FormKind, manifestForm } from '../core/assembly.ts';
import { utf8 } from '../core/bytes.ts';
import { NotFoundError } from '../core/errors.ts';
import type { Head } from '../core/head.ts';
import {
  ABBREVIATED_TYPE,
  CACHE,
  cacheStatus,
  etagOf,
  negotiateEncoding,
  PACKUMENT_VARY,
  planRead,
  wantsAbbreviated,
} from '../core/http-semantics.ts';
import { type Answer, type Incoming, problemAnswer } from '../io/http-server.ts';
import { FORM_CODINGS, type FormCoding, type Forms, formSize } from './forms.ts';

type Asked = Pick<Incoming, 'method' | 'headers'>;

/** A package as it stands, for its packument. `hash` is the head's. */
export type ShownPackage = { readonly head: Head; readonly hash: string; readonly stale: boolean };

/** Names the head that an answer was made from, so that a mirror can fetch that very head by its hash. */
export const HEAD_HEADER = 'open-registry-head';

/** @param base URL that tarball URLs begin with, without a slash at its end */
export async function packumentAnswer(asked: Asked, shown: ShownPackage, base: string, forms: Forms): Promise<Answer> {
  const kind: FormKind = wantsAbbreviated(asked.headers.accept) ? 'abbreviated' : 'full';
  const answer = await formAnswer(asked, shown.head, kind, forms, base);
  if (answer.status >= 400) return answer;
  const more = { 'cache-control': CACHE.byName, [HEAD_HEADER]: shown.hash, ...staleHeaders(shown.stale) };
  return { ...answer, headers: { ...answer.headers, ...more } };
}

/** A form in the coding that the client takes. Without a base URL it is the one that the head's digest is over. */
export async function formAnswer(asked: Asked, head: Head, kind: FormKind, forms: Forms, base = ''): Promise<Answer> {
  const { headers, method } = asked;
  const coding = negotiateEncoding(headerText(headers['accept-encoding']), FORM_CODINGS);
  if (coding === null) {
    return problemAnswer(406, 'not-acceptable', `packuments are sent as they are or with ${FORM_CODINGS.join(', ')}`);
  }
  const isPlain = coding === 'identity';
  const stored = isPlain ? null : await forms.compressed(kind, head, base, coding as FormCoding);
  const size = stored?.length ?? formSize(kind, head, base);
  const plan = planRead(method, headers, { etag: etagOf(head[kind].sha256, base, coding), size, allowRange: false });
  const answer: Record<string, string> = {
    'content-type': kind === 'full' ? 'application/json' : ABBREVIATED_TYPE,
    vary: PACKUMENT_VARY,
    ...(isPlain ? {} : { 'content-encoding': coding }),
    ...plan.headers,
  };
  return {
    status: plan.status,
    headers: answer,
    body: plan.body ? (stored ?? (await forms.plain(kind, head, base))) : null,
  };
}

/** One version's document. `manifest` is the SHA-256 of the blob. */
export function manifestAnswer(
  asked: Asked,
  version: { name: string; manifest: string; blob: Uint8Array; cut: number; file: string; stale: boolean },
  base: string,
): Answer {
  const body = manifestForm(version.blob, version.cut, base, version.name, version.file);
  return smallAnswer(asked, body, etagOf(version.manifest, base), version.stale);
}

/**
 * The dist-tags of a package, or where one of them points.
 * @param hash of the blob of tags
 * @throws NotFoundError for a tag that is not there
 */
export function distTagsAnswer(
  asked: Asked,
  shown: { name: string; tags: Readonly<Record<string, string>>; hash: string; stale: boolean },
  tag: string | null,
): Answer {
  const { name, tags, hash, stale } = shown;
  if (tag !== null && !Object.hasOwn(tags, tag))
    throw new NotFoundError(`${name} has no dist-tag ${JSON.stringify(tag)}`);
  const body = utf8(JSON.stringify(tag === null ? tags : tags[tag]));
  return smallAnswer(asked, body, etagOf(hash, tag ?? ''), stale);
}

/** Headers of an answer that is older than it should be, because whoever knows better could not be asked (RFC 9211). */
export function staleHeaders(stale: boolean): Record<string, string> {
  if (!stale) return {};
  const detail = 'stale: upstream could not be asked';
  return { 'cache-status': cacheStatus('open-registry', { hit: true, ttl: -1, detail }) };
}

/** A small JSON document that may be asked for conditionally. */
function smallAnswer({ method, headers }: Asked, body: Uint8Array, etag: string, stale: boolean): Answer {
  const plan = planRead(method, headers, { etag, size: body.length, allowRange: false });
  const all = {
    'content-type': 'application/json',
    'cache-control': CACHE.byName,
    ...staleHeaders(stale),
    ...plan.headers,
  };
  return { status: plan.status, headers: all, body: plan.body ? body : null };
}

function headerText(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(',') : value;
}
