/**
 * `verify URL`: derives everything that an origin or a mirror serves from its checkpoint anew, from outside, and says line
 * by line what was checked and what could not be.
 */
import { type FederationError, UsageError } from '../core/errors.ts';
import { isLoopbackHostname } from '../core/ip.ts';
import { COSIGNATURE_TYPE, ED25519_TYPE, parseVkey, type SignatureType } from '../core/note.ts';
import { Sample } from '../core/sample.ts';
import { type Check, formatReport, Tally } from '../core/verify-report.ts';
import { createHttpClient, type HttpClient } from '../io/http-client.ts';
import { readNpmConfig } from '../io/npm-config.ts';
import { createLogSource, SOURCE_TIMES } from '../mirror/log/log-source.ts';
import { openRemote, type RemoteServer } from './remote-server.ts';
import { httpOptions, SOFTWARE } from './serving.ts';
import { type Listed, verifyRemoteMeasured, verifyRemotePackages } from './verify-url-index.ts';
import { verifyCheckpoint, verifyEntries, verifyKeysNote } from './verify-url-log.ts';
import { verifyRemoteTarballs } from './verify-url-tarballs.ts';

/** As commander gives them. */
export type VerifyUrlOptions = {
  readonly key?: string;
  readonly cosigner?: readonly string[];
  readonly origin?: string;
  readonly tarballs?: string;
};

type Asked = {
  readonly url: string;
  readonly key: string | null;
  readonly cosigners: readonly string[];
  readonly origin: string | null;
  readonly tarballs: number;
};

const EXIT = { sound: 0, wrong: 1 };
const TARBALLS = 20;
const TARBALLS_MAX = 1_000_000;
/** Of the names of the checks, the longest. */
const WIDTH = 'checkpoint'.length;

/**
 * @param print takes one line
 * @returns the exit code: 0 if nothing is wrong, 1 if anything is
 * @throws UsageError for options that make no sense, and where anybody could answer and no key says who should
 */
export async function runVerifyUrl(
  url: string,
  options: VerifyUrlOptions,
  print: (line: string) => void = (line) => process.stdout.write(`${line}\n`),
): Promise<number> {
  const asked = readOptions(url, options);
  const client = createHttpClient({ userAgent: SOFTWARE, allowPrivate: true, ...httpOptions(await readNpmConfig()) });
  let problems = 0;
  try {
    for await (const check of checksOf(asked, client, (server) => print(`${server.url} (${server.role})`))) {
      for (const line of formatReport({ checks: [check] }, WIDTH)) print(line);
      problems += check.problemCount;
    }
  } finally {
    await client.close();
  }
  print(
    problems === 0 ? SOUND : `${problems.toLocaleString('en')} ${problems === 1 ? 'thing is' : 'things are'} wrong`,
  );
  return problems === 0 ? EXIT.sound : EXIT.wrong;
}

const SOUND =
  'nothing wrong was found; whether others are shown the same log, only a look at the size and root that they see can tell';

/** What comes later rests on what came before: without keys or checkpoint the rest is not looked at. */
async function* checksOf(
  { url, key, cosigners, origin, tarballs }: Asked,
  client: HttpClient,
  opened: (server: RemoteServer) => void,
): AsyncGenerator<Check> {
  const servers = await openServers(client, origin === null ? [url] : [url, origin]);
  if (!Array.isArray(servers)) return yield servers;
  opened(servers[0] as RemoteServer);
  const source = createLogSource({
    ...{ name: url, url, client, times: SOURCE_TIMES, signal: new AbortController().signal },
  });
  const keys = await verifyKeysNote(source, key);
  yield keys.check;
  if (keys.found === null) return;
  const checkpoint = await verifyCheckpoint(source, keys.found, cosigners);
  yield checkpoint.check;
  if (checkpoint.found === null) return;
  const { checks, tables } = await verifyEntries(source, keys.found, checkpoint.found);
  yield* checks;
  const sample = new Sample<Listed>(tarballs, Math.random);
  yield* await verifyRemotePackages({ servers, client }, tables, (version) => sample.add(version));
  yield await verifyRemoteMeasured({ servers, client }, tables);
  yield await verifyRemoteTarballs(servers, tables, sample);
}

/** All of them, or what keeps one from being asked. */
async function openServers(client: HttpClient, urls: readonly string[]): Promise<RemoteServer[] | Check> {
  const tally = new Tally('server');
  const servers: RemoteServer[] = [];
  for (const url of urls) {
    await tally.attempt(url, async () => void servers.push(await openRemote(client, url)));
  }
  return servers.length === urls.length ? servers : tally.result('');
}

function readOptions(url: string, { key, cosigner = [], origin, tarballs }: VerifyUrlOptions): Asked {
  if (key !== undefined) mustBeKey('--key', key, ED25519_TYPE);
  for (const vkey of cosigner) mustBeKey('--cosigner', vkey, COSIGNATURE_TYPE);
  const asked = baseUrl(url);
  if (key === undefined && asked.protocol !== 'https:' && !isLoopbackHostname(asked.hostname)) {
    throw new UsageError(
      `${url} is neither https nor this machine, so anybody could answer; give --key with the verifier key that the origin prints at its start`,
    );
  }
  const count = Number(tarballs ?? TARBALLS);
  if (!Number.isInteger(count) || count < 0 || count > TARBALLS_MAX) {
    throw new UsageError(`--tarballs takes a number from 0 to ${TARBALLS_MAX}, not ${JSON.stringify(tarballs)}`);
  }
  return {
    url: asked.origin,
    key: key ?? null,
    cosigners: cosigner,
    origin: origin === undefined ? null : baseUrl(origin).origin,
    tarballs: count,
  };
}

function baseUrl(text: string): URL {
  const url = URL.parse(text);
  if (url !== null && /^https?:$/.test(url.protocol) && url.pathname === '/' && url.search === '') return url;
  throw new UsageError(`${text} is no base URL of a server, such as https://registry.example`);
}

function mustBeKey(option: string, vkey: string, type: SignatureType): void {
  try {
    parseVkey(vkey, type);
  } catch (cause) {
    throw new UsageError(`${option}: ${(cause as FederationError).message}`, { cause });
  }
}
