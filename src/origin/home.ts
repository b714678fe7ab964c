/** The root of a door: a page for people, a few facts for programs. */
import type { Door } from '../core/door.ts';
import { CACHE } from '../core/http-semantics.ts';
import { type Answer, type Incoming, jsonAnswer } from '../io/http-server.ts';
import { HOME_HEADERS, renderHomePage } from '../web/home-page.ts';
import type { Hosts } from './hosts.ts';
import type { Journal } from './journal.ts';

export function createHome(deps: {
  hosts: Pick<Hosts, 'views'>;
  journal: Pick<Journal, 'size'>;
  version: string;
}): (incoming: Incoming, door: Door) => Answer {
  return (incoming, door) => {
    const headers = { 'cache-control': CACHE.noStore, vary: 'Accept' };
    if (!wantsPage(incoming)) {
      const facts = {
        registry: `${door.url}/`,
        software: 'open-registry',
        version: deps.version,
        update_seq: deps.journal.size(),
      };
      return jsonAnswer(200, facts, headers);
    }
    const mirrors = deps.hosts
      .views()
      .filter((host) => host.approved && !host.private)
      .map(({ url, present, healthy }) => ({ url, present, healthy }));
    const page = renderHomePage({ registry: `${door.url}/`, mirrors, version: deps.version });
    return { status: 200, headers: { ...headers, ...HOME_HEADERS }, body: Buffer.from(page) };
  };
}

/** Browsers name HTML first; registries' clients never name it. */
function wantsPage({ headers }: Incoming): boolean {
  return headers.accept?.includes('text/html') ?? false;
}
