import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import cacache from 'cacache';
import { type Application, applicationSpecs } from './application.ts';
import { cacheRoot } from './folders.ts';
import { npm } from './npm.ts';
import { described, type Outcome } from './run.ts';

/** Stands in captured packuments where the tarball URLs' own base was; never resolved by anything. */
export const capturedBase = 'http://captured.invalid/';

const folder = join(cacheRoot, 'captured');
const requestKey = 'make-fetch-happen:request-cache:';

/** The outside could not be asked, as opposed to its saying that there is no such thing. */
export class CaptureError extends Error {
  override readonly name = 'CaptureError';
}

const flights = new Map<string, Promise<Buffer | undefined>>();

/** A real packument as bytes, asked for once and then kept; undefined if the registry knows no such package. */
export function capturedPackument(name: string): Promise<Buffer | undefined> {
  return kept(packumentPath(name), () => capture(['view', name, 'name'], name));
}

/** A real tarball as bytes; undefined if the registry knows no such version. */
export function capturedTarball(name: string, version: string): Promise<Buffer | undefined> {
  return kept(tarballPath(name, version), () => capture(['cache', 'add', `${name}@${version}`], name));
}

/** Captures what an install of an application asks for, in one go. */
export async function captureApplication(application: Application): Promise<void> {
  const found = await Promise.all(applicationSpecs(application).map(([name]) => read(packumentPath(name))));
  if (found.every((packument) => packument !== undefined)) return;
  const specs = applicationSpecs(application).map(([name, version]) => `${name}@${version}`);
  await capture(['install', '--ignore-scripts', '--no-package-lock', '--no-save', ...specs], '.');
}

/** One capture per file at a time, however many ask. */
function kept(path: string, fetch: () => Promise<boolean>): Promise<Buffer | undefined> {
  const running = flights.get(path);
  if (running) return running;
  const flight = readOrFetch(path, fetch).finally(() => flights.delete(path));
  flights.set(path, flight);
  return flight;
}

async function readOrFetch(path: string, fetch: () => Promise<boolean>): Promise<Buffer | undefined> {
  const bytes = await read(path);
  if (bytes) return bytes;
  return (await fetch()) ? read(path) : undefined;
}

/** Lets npm do something with an empty cache, and keeps every response that it stored there. False if there is no such thing. */
async function capture(args: readonly string[], what: string): Promise<boolean> {
  await mkdir(folder, { recursive: true });
  const work = await mkdtemp(join(folder, 'work-'));
  try {
    await writeFile(join(work, 'package.json'), '{"private":true}');
    const outcome = await npm([...args, '--cache', join(work, 'cache')], work);
    if (outcome.code !== 0 && !isAbsent(outcome)) throw new CaptureError(`${what}: ${described(outcome)}`);
    if (outcome.code === 0) await keepResponses(join(work, 'cache', '_cacache'));
    return outcome.code === 0;
  } finally {
    await rm(work, { recursive: true, force: true, maxRetries: 3 });
  }
}

function isAbsent({ stdout, stderr }: Outcome): boolean {
  return /\b(?:E404|ETARGET)\b/.test(stdout + stderr);
}

async function keepResponses(cache: string): Promise<void> {
  const registry = (await npm(['config', 'get', 'registry'], folder)).stdout.trim().replace(/\/*$/, '/');
  for (const key of Object.keys(await cacache.ls(cache))) {
    if (!key.startsWith(requestKey + registry)) continue;
    const { data } = await cacache.get(cache, key);
    await keepResponse(decodeURIComponent(key.slice((requestKey + registry).length)), data);
  }
}

async function keepResponse(path: string, data: Buffer): Promise<void> {
  const tarball = path.match(/^((?:@[^/]+\/)?([^/]+))\/-\/\2-(.+)\.tgz$/);
  if (tarball) return write(tarballPath(tarball[1] ?? '', tarball[3] ?? ''), data);
  const text = data.toString();
  // The abbreviated form has no `time`; the upstream derives its own.
  if (!text.includes('"time"')) return;
  await write(packumentPath(path), Buffer.from(withoutBase(path, text)));
}

/** Only the URLs' beginnings change, so that all else stays as the registry printed it. */
function withoutBase(name: string, packument: string): string {
  const urls = new RegExp(`("tarball":\\s*")https?://[^"]*?/(?=${RegExp.escape(name)}/-/)`, 'g');
  return packument.replaceAll(urls, `$1${capturedBase}`);
}

function packumentPath(name: string): string {
  return join(folder, encodeURIComponent(name), 'packument.json');
}

function tarballPath(name: string, version: string): string {
  return join(folder, encodeURIComponent(name), `${version}.tgz`);
}

async function read(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** A file that exists is whole, also when two test files capture at once. */
async function write(path: string, data: Buffer): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true });
  const staging = `${path}.${process.pid}`;
  await writeFile(staging, data);
  await rename(staging, path);
}
