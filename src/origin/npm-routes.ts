/**
 * The npm API at a door: what a client asks for, and the answer out of the index.
 *
 * Metadata always comes from here; a tarball comes from here or, by redirect, from a host (origin/tarball-answer.ts).
 */

import { requestingClient } from '../core/clients.ts';
import { chooseDoor, type Door, tarballBase } from '../core/door.ts';
import { ForbiddenError, NotFoundError, UnauthorizedError, WithdrawnError } from '../core/errors.ts';
import { CACHE } from '../core/http-semantics.ts';
import { type Change, type NpmRequest, parseNpmRequest } from '../core/npm-path.ts';
import { distTagsAnswer, manifestAnswer, packumentAnswer, type ShownPackage } from '../door/answers.ts';
import type { Forms } from '../door/forms.ts';
import type { BlobStore } from '../io/blob-store.ts';
import { type Answer, type Handler, type Incoming, jsonAnswer } from '../io/http-server.ts';
import { MissingBlobError, storedBlob } from '../io/stored-blob.ts';
import type { Changes } from './changes/changes.ts';
import type { Learned, Learner } from './learning/learner.ts';
import type { TarballAnswers } from './tarball-answer.ts';

export type NpmRoutesDeps = {
  learner: Learner;
  forms: Forms;
  blobs: BlobStore;
  tarballs: TarballAnswers;
  /** Configured doors and the bound port, for the implicit ones. */
  doors: () => { doors: readonly Door[]; port: number };
  /** URL of the public registry, for canonical doors. */
  canonicalRegistry: string | null;
  passthrough: (incoming: Incoming, request: NpmRequest) => Promise<Answer>;
  federation: (incoming: Incoming, path: readonly string[], query: string, door: Door) => Promise<Answer>;
  changes: Changes;
  home: (incoming: Incoming, door: Door) => Promise<Answer>;
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
      return mended(incoming, request.name, deps, () => packument(incoming, request.name, door, deps));
    case 'manifest':
      return mended(incoming, request.name, deps, () => manifest(incoming, request.name, request.spec, door, deps));
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
    case 'changes':
      return deps.changes.answer(incoming, request.query, baseFor(incoming, door, deps));
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
        `${request.what} is refused: ${REFUSALS[request.what] ?? 'this registry has no accounts yet, and reading needs none'}`,
      );
  }
}

const FOLLOWS = 'this registry only follows its upstream so far; do it there, and it appears here';
/** Why a change is refused, for people at their command line. Left out: it is one of accounts. */
const REFUSALS: { readonly [what in Change]?: string } = {
  publish: FOLLOWS,
  unpublish: FOLLOWS,
  'dist-tag': FOLLOWS,
  logout: 'this registry has no accounts yet and gave out no token; take yours out of your .npmrc yourself',
};

/** An answer for which a blob turned out to be lost is made once more, after the upstream was asked for it. */
async function mended(
  { network }: Incoming,
  name: string,
  { learner }: NpmRoutesDeps,
  make: () => Promise<Answer>,
): Promise<Answer> {
  try {
    return await make();
  } catch (error) {
    if (!(error instanceof MissingBlobError)) throw error;
    await learner.mend(name, network);
    return make();
  }
}

async function packument(incoming: Incoming, name: string, door: Door, deps: NpmRoutesDeps): Promise<Answer> {
  const shown = shownPackage(await deps.learner.packument(name, incoming.network));
  return varied(await packumentAnswer(incoming, shown, baseFor(incoming, door, deps), deps.forms), door);
}

async function manifest(
  incoming: Incoming,
  name: string,
  spec: string,
  door: Door,
  deps: NpmRoutesDeps,
): Promise<Answer> {
  const { view, stale } = await deps.learner.packument(name, incoming.network);
  const version = Object.hasOwn(view.tags, spec) ? (view.tags[spec] as string) : spec;
  const row = view.rows.get(version);
  if (row?.state === 'withdrawn') throw new WithdrawnError({ subject: `${name}@${version}`, reason: row.reason });
  if (row?.state !== 'listed') throw new NotFoundError(`${name} has no version or dist-tag ${JSON.stringify(spec)}`);
  const blob = await storedBlob(deps.blobs, row.manifest, `${name}@${version}`);
  return varied(manifestAnswer(incoming, { ...row, name, blob, stale }, baseFor(incoming, door, deps)), door);
}

const baseFor = ({ headers }: Incoming, door: Door, { canonicalRegistry }: NpmRoutesDeps): string =>
  tarballBase(door, requestingClient(headers), canonicalRegistry);

/** At a canonical door what is answered depends on who asks, and caches must know. */
function varied(answer: Answer, { rule }: Door): Answer {
  if (rule !== 'canonical') return answer;
  const vary = [answer.headers.vary, 'User-Agent'].filter((name) => name !== undefined).join(', ');
  return { ...answer, headers: { ...answer.headers, vary } };
}

async function distTags(incoming: Incoming, name: string, tag: string | null, deps: NpmRoutesDeps): Promise<Answer> {
  const learned = await deps.learner.packument(name, incoming.network);
  const { head, stale } = shownPackage(learned);
  return distTagsAnswer(incoming, { name, tags: learned.view.tags, hash: head.tags, stale }, tag);
}

function shownPackage({ view, stale }: Learned): ShownPackage {
  const { head, headHash, name } = view;
  if (!head || !headHash) throw new NotFoundError(`${name} is not in this registry`);
  return { head, hash: headHash, stale };
}
