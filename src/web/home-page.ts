/** The page that a person sees who opens a registry's URL in a browser: data in, HTML out. */
import { type ClientSetup, clientSetups } from '../core/client-setup.ts';
import { type HomeLog, logSection } from './home-log.ts';
import { HOME_STYLE } from './home-style.ts';
import { codeBlock, escapeHtml, type Html, html, join } from './html.ts';

export type HomeFacts = {
  /** The door's URL, with a slash at its end. */
  readonly registry: string;
  /** Whether clients may be sent to mirrors for tarballs. */
  readonly redirects: boolean;
  /** Null where they are none of this server's business. */
  readonly mirrors: readonly { readonly url: string; readonly state: MirrorState }[] | null;
  readonly log: HomeLog;
  /** Of this software; null leaves it out. */
  readonly version: string | null;
};

/** Whether a mirror is sent clients, and if it is not, why. */
export type MirrorState = 'serving' | 'behind' | 'unwell' | 'away';

/**
 * A page without any other resource, script or cookie; it follows the browser's choice of light or dark.
 * Send it with {@link HOME_HEADERS}.
 */
export function renderHomePage(facts: HomeFacts): string {
  const host = new URL(facts.registry).host;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>npm registry at ${escapeHtml(host)}</title>
<style>${HOME_STYLE}</style>
</head>
<body>
<main>
${sections(facts).map(String).join('\n')}
</main>
</body>
</html>
`;
}

/** Whether an `Accept` header asks for a page: browsers name HTML first, registries' clients never name it. */
export function wantsPage(accept: string | undefined): boolean {
  return accept?.includes('text/html') ?? false;
}

/** Nothing but the page's own style may load, should anything ever slip into it. */
export const HOME_HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy':
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

function sections({ registry, redirects, mirrors: list, log, version }: HomeFacts): Html[] {
  const onMirrors = list === null ? [] : [mirrors(list)];
  return [intro(registry, redirects), clients(registry), logSection(log, registry), ...onMirrors, links(version)];
}

const TARBALLS = {
  sent: `Package metadata comes from this server; tarballs may come from a mirror near you, and are only ever sent from there
to clients that check every byte.`,
  kept: 'Package metadata and tarballs come from this server, which has checked every byte.',
};

function intro(registry: string, redirects: boolean): Html {
  return html`<header>
<h1>An npm registry that many serve together</h1>
<p class="lead">Point your package manager here and go on as before. ${redirects ? TARBALLS.sent : TARBALLS.kept}</p>
<p class="address"><span class="label" id="address">Registry</span> <code aria-labelledby="address">${registry}</code></p>
</header>`;
}

function clients(registry: string): Html {
  return html`<section aria-labelledby="use">
<h2 id="use">Use it</h2>
<div class="clients">
${join(clientSetups(registry).map(clientCard))}
</div>
<p>For one project only, put <code>registry=${registry}</code> into a file <code>.npmrc</code> beside its
<code>package.json</code>; npm, pnpm, yarn 1 and bun read it.</p>
</section>`;
}

function clientCard({ client, file, use, stop }: ClientSetup): Html {
  const stopping = file === null ? codeBlock(stop) : html`<p>${stop.join(' ')}</p>`;
  return html`<article>
<h3>${client}</h3>
${file === null ? html`` : html`<p>In <code>${file}</code>:</p>`}
${codeBlock(use)}
<details><summary>Stop using it</summary>${stopping}</details>
</article>
`;
}

function mirrors(list: NonNullable<HomeFacts['mirrors']>): Html {
  const rows = list.map(
    ({ url, state }) =>
      html`<tr><td><code>${url}</code></td><td><span class="state ${state}">${STATES[state]}</span></td></tr>
`,
  );
  const table = html`<table>
<thead><tr><th scope="col">Mirror</th><th scope="col">Now</th></tr></thead>
<tbody>
${join(rows)}</tbody>
</table>`;
  return html`<section aria-labelledby="mirrors">
<h2 id="mirrors">Mirrors</h2>
${list.length === 0 ? html`<p>There is none; this server sends everything itself.</p>` : table}
</section>`;
}

/** Told in words; the colour only helps. */
const STATES: Readonly<Record<MirrorState, string>> = {
  serving: 'serving',
  behind: 'catching up with the log',
  unwell: 'resting after errors',
  away: 'away',
};

function links(version: string | null): Html {
  return html`<footer>
<nav aria-label="For machines">
<a href="/-/healthz">health</a> <a href="/-/metrics">metrics</a> <a href="/-/federation/hosts">signed list of mirrors</a>
<a href="/-/federation/keys">keys</a>
</nav>
<p>Open-Registry Federation${version === null ? '' : ` ${version}`}</p>
</footer>`;
}
