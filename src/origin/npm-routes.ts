/**
 * The npm API at a door: what a client asks for, and the answer out of the index.
 *
 * Metadata always comes from here; a tarball comes from here or, by redirect, from a host (origin/tarball-answer.ts).
 */

import { manifestForm } from '../core/assembly.ts';
import { utf8 } from '../core/bytes.ts';
import { chooseDoor, type Door } from '../core/door.ts';
import { ForbiddenError, NotFoundError, UnauthorizedError, WithdrawnError } from '../core/errors.ts';
import {
  ABBREVIATED_TYPE,
  CACHE,
  etagOf,
  negotiateEncoding,
  PACKUMENT_VARY,
  planRead,
  wantsAbbreviated,
} from '../core/http-semantics.ts';
import { type NpmRequest, parseNpmRequest } from '../core/npm-path.ts';
import type { BlobStore } from '../io/blob-store.ts';
import { type Answer, type Handler, type Incoming, jsonAnswer, problemAnswer } from '../io/http-server.ts';
import { FORM_CODINGS, type FormCoding, type Forms, formSize } from './forms.ts';
import type { Learned, Learner } from './learner.ts';
import { staleHeaders } from './stale.ts';
import { storedBlob } from './stored-blob.ts';
import type { TarballAnswers } from './tarball-answer.ts';

export type NpmRoutesDeps = {
  learner: Learner;
  forms: Forms;
  blobs: BlobStore;
  tarballs: TarballAnswers;
  /** Configured doors and the bound port, for the implicit ones. */
  doors: () => { doors: readonly Door[]; port: number };
  passthrough: (incoming: Incoming, request: NpmRequest) => Promise<Answer>;
  federation: (incoming: Incoming, path: readonly string[], query: string, door: Door) => Promise<Answer>;
  home: (incoming: Incoming, door: Door) => Answer;
  healthz: () => Promise<Answer>;
  metrics: () => Promise<Answer>;
};

/** The origin's one handler. */
export function createNpmHandler(deps: NpmRoutesDeps): Handler {
  return async (incoming) => {
    const request = parseNpmRequest(incoming.method, incoming.url);
    incoming.kind = request.kind;
    const { doors, port } = deps.doors();
    const door = chooseDoor(incoming.hostHeader, doors, port);
    return answer(incoming, request, door, deps);
  };
}

async function answer(incoming: Incoming, request: NpmRequest, door: Door, deps: NpmRoutesDeps): Promise<Answer> {
  switch (request.kind) {
    case 'packument':
      return packument(incoming, request.name, door, deps);
    case 'manifest':
      return manifest(incoming, request.name, request.spec, door, deps);
    case 'tarball':
      return deps.tarballs.answer(incoming, request.name, request.file, door);
    case 'dist-tags':
      return distTags(incoming, request.name, request.tag, deps);
    case 'search':
    case 'advisories':
    case 'audit':
    case 'audit-quick':
    case 'keys':
    case 'attestations':
      return deps.passthrough(incoming, request);
    case 'federation':
      return deps.federation(incoming, request.path, request.query, door);
    case 'root':
      return deps.home(incoming, door);
    case 'ping':
      return jsonAnswer(200, {}, { 'cache-control': CACHE.noStore });
    case 'healthz':
      return deps.healthz();
    case 'metrics':
      return deps.metrics();
    case 'whoami':
    case 'account':
      throw new UnauthorizedError(
        'nobody is logged in here: this registry has no accounts yet, and reading needs none',
      );
    case 'write':
      throw new ForbiddenError(
        `${request.what} is refused: this registry only follows its upstream so far; do it there, and it appears here`,
      );
  }
}

async function packument(incoming: Incoming, name: string, door: Door, deps: NpmRoutesDeps): Promise<Answer> {
  const { headers, method, network } = incoming;
  const coding = negotiateEncoding(headerText(headers['accept-encoding']), FORM_CODINGS);
  if (coding === null) {
    return problemAnswer(406, 'not-acceptable', `packuments are sent as they are or with ${FORM_CODINGS.join(', ')}`);
  }
  const kind = wantsAbbreviated(headers.accept) ? 'abbreviated' : 'full';
  const learned = await deps.learner.packument(name, network);
  const head = headOf(learned);
  const etag = etagOf(head[kind].sha256, door.url, coding);
  const isPlain = coding === 'identity';
  const stored = isPlain ? null : await deps.forms.compressed(kind, head, door.url, coding as FormCoding);
  const size = stored?.length ?? formSize(kind, head, door.url);
  const plan = planRead(method, headers, { etag, size, allowRange: false });
  const answer: Record<string, string> = {
    'content-type': kind === 'full' ? 'application/json' : ABBREVIATED_TYPE,
    'cache-control': CACHE.byName,
    vary: PACKUMENT_VARY,
    ...staleHeaders(learned.stale),
    ...(isPlain ? {} : { 'content-encoding': coding }),
    ...plan.headers,
  };
  const body = plan.body ? (stored ?? (await deps.forms.plain(kind, head, door.url))) : null;
  return { status: plan.status, headers: answer, body };
}

async function manifest(
  incoming: Incoming,
  name: string,
  spec: string,
  door: Door,
  deps: NpmRoutesDeps,
): Promise<Answer> {
  const learned = await deps.learner.packument(name, incoming.network);
  const { view } = learned;
  const version = Object.hasOwn(view.tags, spec) ? (view.tags[spec] as string) : spec;
  const row = view.rows.get(version);
  if (row?.state === 'withdrawn') throw new WithdrawnError({ subject: `${name}@${version}`, reason: row.reason });
  if (row?.state !== 'listed') throw new NotFoundError(`${name} has no version or dist-tag ${JSON.stringify(spec)}`);
  const blob = await storedBlob(deps.blobs, row.manifest, `${name}@${version}`);
  const body = manifestForm(blob, row.cut, door.url, name, row.file);
  return readable(incoming, body, etagOf(row.manifest, door.url), staleHeaders(learned.stale));
}

async function distTags(incoming: Incoming, name: string, tag: string | null, deps: NpmRoutesDeps): Promise<Answer> {
  const learned = await deps.learner.packument(name, incoming.network);
  const { tags } = learned.view;
  if (tag !== null && !Object.hasOwn(tags, tag))
    throw new NotFoundError(`${name} has no dist-tag ${JSON.stringify(tag)}`);
  const body = utf8(JSON.stringify(tag === null ? tags : tags[tag]));
  return readable(incoming, body, etagOf(headOf(learned).tags, tag ?? ''), staleHeaders(learned.stale));
}

/** A small JSON document that may be asked for conditionally. */
function readable(incoming: Incoming, body: Uint8Array, etag: string, more: Record<string, string>): Answer {
  const plan = planRead(incoming.method, incoming.headers, { etag, size: body.length, allowRange: false });
  const headers = { 'content-type': 'application/json', 'cache-control': CACHE.byName, ...more, ...plan.headers };
  return { status: plan.status, headers, body: plan.body ? body : null };
}

function headOf(learned: Learned): NonNullable<Learned['view']['head']> {
  const { head, name } = learned.view;
  if (!head) throw new NotFoundError(`${name} is not in this registry`);
  return head;
}

function headerText(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(',') : value;
}
