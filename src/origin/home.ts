/** The root of a door: a page for people, a few facts for programs. */
import type { Door } from '../core/door.ts';
import { CACHE } from '../core/http-semantics.ts';
import { type Answer, type Incoming, jsonAnswer } from '../io/http-server.ts';
import { HOME_HEADERS, renderHomePage } from '../web/home-page.ts';
import type { ChangedPackages } from './changed-packages.ts';
import type { Hosts } from './hosts.ts';

export function createHome(deps: {
  hosts: Pick<Hosts, 'views'>;
  packages: Pick<ChangedPackages, 'newest' | 'count'>;
  version: string;
}): (incoming: Incoming, door: Door) => Promise<Answer> {
  return async (incoming, door) => {
    const headers = { 'cache-control': CACHE.noStore, vary: 'Accept' };
    if (!wantsPage(incoming)) {
      const { packages, version } = deps;
      const facts = { registry: `${door.url}/`, software: 'open-registry', version };
      return jsonAnswer(200, { ...facts, ...(await replicationFacts(packages)) }, headers);
    }
    const mirrors = deps.hosts
      .views()
      .filter((host) => host.approved && !host.private)
      .map(({ url, present, healthy }) => ({ url, present, healthy }));
    const page = renderHomePage({ registry: `${door.url}/`, mirrors, version: deps.version });
    return { status: 200, headers: { ...headers, ...HOME_HEADERS }, body: Buffer.from(page) };
  };
}

/** What followers of the replication feed look for before they start (CouchDB documentation, `GET /{db}`). */
async function replicationFacts(packages: Pick<ChangedPackages, 'newest' | 'count'>): Promise<object> {
  const [doc_count, update_seq] = await Promise.all([packages.count(), packages.newest()]);
  return { db_name: 'registry', engine: 'open-registry', doc_count, update_seq, instance_start_time: '0' };
}

/** Browsers name HTML first; registries' clients never name it. */
function wantsPage({ headers }: Incoming): boolean {
  return headers.accept?.includes('text/html') ?? false;
}
