/** What the home page shows of the log: how large it is, what stands for all of it, and who says so. */
import { codeBlock, type Html, html } from './html.ts';

export type HomeLog = {
  /** The newest checkpoint; null while there is none to show. */
  readonly checkpoint: { readonly size: number /** In base64, as in the checkpoint. */; readonly root: string } | null;
  /** Verifier key of the log key; null while it is not known. */
  readonly vkey: string | null;
  /** Who said that it is the newest, in words, and when they last did, unix ms; null while nobody has. */
  readonly confirmed: { readonly by: string; readonly at: number } | null;
  /** Why nothing new is taken in; null while all is well. */
  readonly halted: string | null;
};

/** @param registry URL of the door, with a slash at its end */
export function logSection(log: HomeLog, registry: string): Html {
  return html`<section aria-labelledby="log">
<h2 id="log">The log</h2>
<p>All that this registry says of packages is in a public log that only ever grows. One root hash stands for the whole of it:
whoever sees the same size and root as you is told the same.</p>
${log.halted === null ? html`` : alarm(log.halted)}${log.checkpoint === null ? html`` : facts(log, log.checkpoint)}
<p>Any tool for <a href="https://c2sp.org/tlog-checkpoint">signed checkpoints</a> and
<a href="https://c2sp.org/tlog-tiles">tiled logs</a> can read it, from the
<a href="/-/federation/checkpoint">newest checkpoint</a> on; <code>docs/protocol.md</code> of this software has the formats of
entries. To check everything from your own machine:</p>
${codeBlock([`open-registry verify ${registry}${log.vkey === null ? '' : ` --key ${log.vkey}`}`])}
</section>`;
}

function alarm(reason: string): Html {
  return html`<p class="alarm"><strong>Halted.</strong> What is known is still served, nothing new is taken in: ${reason}</p>
`;
}

function facts({ vkey, confirmed }: HomeLog, { size, root }: NonNullable<HomeLog['checkpoint']>): Html {
  return html`<dl>
<div><dt>Entries</dt><dd>${size.toLocaleString('en')}</dd></div>
<div><dt>Root hash</dt><dd><code>${root}</code></dd></div>
<div><dt>Confirmed</dt><dd>${confirmed === null ? 'not yet' : confirmation(confirmed)}</dd></div>
${vkey === null ? html`` : html`<div><dt>Verifier key</dt><dd><code>${vkey}</code></dd></div>`}
</dl>`;
}

function confirmation({ by, at }: NonNullable<HomeLog['confirmed']>): Html {
  const time = new Date(at).toISOString();
  return html`<time datetime="${time}">${time.slice(0, 19).replace('T', ' ')} UTC</time>, ${by}`;
}
