/** Asking as npm does: which requests are sent on to a mirror. */
import type { CorpusTarball } from './corpus.ts';
import type { Target } from './load.ts';

const AGENT = 'npm/11.6.2 node/v24.11.0 linux x64 workspaces/false';

/** A request for a tarball that the client will verify, so that it may be redirected. */
export function npmRequest(door: string, { path, integrity }: CorpusTarball): Target {
  return { url: door + path, headers: { 'user-agent': AGENT, 'pacote-integrity': integrity, accept: '*/*' } };
}

/** A request for a packument, as npm has sent it since 7 (full) or up to 10.3 (abbreviated), gzip accepted. */
export function packumentRequest(door: string, name: string, form: 'full' | 'abbreviated'): Target {
  const json = 'application/json';
  const accept = form === 'full' ? json : `application/vnd.npm.install-v1+json; q=1.0, ${json}; q=0.8, */*`;
  return { url: `${door}/${name}`, headers: { 'user-agent': AGENT, accept, 'accept-encoding': 'gzip' } };
}

/** Makes a mirror hold a tarball, by a visit as of a client that was sent there. @returns its URL at the mirror, without the mark */
export async function fetchThroughMirror(door: string, tarball: CorpusTarball): Promise<string> {
  const url = await visitMirror(door, tarball);
  if (url === null) throw new Error(`${door}${tarball.path} was served by the origin, not redirected`);
  return url;
}

/** The same; null if the origin serves it itself, as it does where the last visit was within two minutes. */
export async function visitMirror(door: string, tarball: CorpusTarball): Promise<string | null> {
  // The origin redirects only to what it holds itself.
  await bodyOf(await fetch(door + tarball.path));
  const { url, headers } = npmRequest(door, tarball);
  const sent = await fetch(url, { headers, redirect: 'manual' });
  const location = sent.headers.get('location');
  if (sent.status !== 302 || location === null) {
    await bodyOf(sent);
    return null;
  }
  await bodyOf(await fetch(location));
  return location.split('?', 1)[0] ?? location;
}

/** The whole body. @throws Error unless the status is 200 */
export async function bodyOf(answer: Response): Promise<Buffer> {
  const body = Buffer.from(await answer.arrayBuffer());
  if (answer.status !== 200) throw new Error(`${answer.url} answered ${answer.status}: ${body.subarray(0, 200)}`);
  return body;
}
