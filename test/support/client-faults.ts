import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { capturedTarball } from './capture.ts';
import { checkApplication, installed, machineFor, succeeded } from './client-check.ts';
import { install } from './client-run.ts';
import type { Client } from './client-table.ts';
import type { Cluster } from './cluster.ts';
import { assertSameFiles, cutShort, type InstalledFiles, installedFiles, wrongFiles } from './installed-files.ts';
import type { Outcome } from './run.ts';
import type { Fault } from './upstream-faults.ts';

/** What a client lived through. */
export interface Ordeal {
  readonly client: string;
  readonly fault: string;
  /** Until one went well. */
  readonly attempts: readonly Attempt[];
}

interface Attempt {
  readonly outcome: Outcome;
  /** Files that are there now and not as published. */
  readonly wrong: readonly string[];
  /** npm said that all went well, and cut files short by itself. */
  readonly isCut: boolean;
}

/** Too much to arrive at once, so that npm unpacks it before it knows (test/clients/matrix/npm-alone.ts). */
export const LARGER = 'another, larger package';

/** What a mirror may answer instead of what it was asked for. */
export async function mirrorFaults(): Promise<Record<string, Fault>> {
  const [other, larger] = await Promise.all([
    capturedTarball('left-pad', '1.3.0'),
    capturedTarball('@parcel/watcher-wasm', '2.5.1'),
  ]);
  assert.ok(other && larger, 'both belong to the application');
  return {
    'one bit wrong': 'corrupt',
    'another package': () => other,
    [LARGER]: () => larger,
    'half the bytes': 'truncated',
    'other code, then a cut': 'forged',
    404: 'missing',
    500: 'error',
    'a web page': 'html',
    nothing: 'silent',
  };
}

/** Requests for blobs, as redirected clients send them. The origin's probes are npm 11.6.2, which is no client of these tests. */
export function ofClients({ url, headers }: Pick<IncomingMessage, 'url' | 'headers'>): boolean {
  return ofAnyone({ url }) && !headers['user-agent']?.startsWith('npm/11.6.2 ');
}

export function ofAnyone({ url }: Pick<IncomingMessage, 'url'>): boolean {
  return url?.includes('/blob/sha512/') ?? false;
}

/** Every file of the application as this client installs it, with nobody between that could do wrong. */
export async function rightFiles(t: TestContext, client: Client, { door, moveOn }: Cluster): Promise<InstalledFiles> {
  moveOn();
  return installedFiles(await installed(t, client, door.url));
}

/**
 * Installs on a new machine, again and again until it goes well. After a failure node_modules is removed: npm unpacks while it
 * verifies, leaves wrong files when a connection breaks, and takes them for installed next time. Fails if a client says that all
 * went well and any file is not as published, with one exception: npm may cut files short when it unpacks a second time, as it
 * does with any registry (test/clients/matrix/npm-alone.ts); that counts as a failure. What is there in the end is right, file by file.
 * @param triesMax fails if that many attempts were not enough
 */
export async function livedThrough(
  t: TestContext,
  { client, fault, right }: { client: Client; fault: string; right: InstalledFiles },
  { door, moveOn }: Cluster,
  triesMax: number,
): Promise<Ordeal> {
  moveOn();
  const machine = await machineFor(t, { ...client, install: [...client.install, ...(client.hasty ?? [])] }, door.url);
  const attempts: Attempt[] = [];
  do {
    await rm(join(machine.project, 'node_modules'), { recursive: true, force: true });
    const outcome = await install(machine);
    const files = await installedFiles(machine);
    const isCut = client.command === 'npm' && outcome.code === 0 && (cutShort(files, right) ?? []).length > 0;
    attempts.push({ outcome, wrong: wrongFiles(files, right), isCut });
  } while (!wentWell(attempts) && attempts.length < triesMax);
  succeeded(attempts.at(-1)?.outcome as Outcome);
  await checkApplication(machine);
  assertSameFiles(await installedFiles(machine), right);
  return { client: client.label, fault, attempts };
}

function wentWell(attempts: readonly Attempt[]): boolean {
  const last = attempts.at(-1);
  return last?.outcome.code === 0 && !last.isCut;
}

/** One line for people: `npm 12, half the bytes: failed after 0.9 s, then installed in 1.2 s`. */
export function told({ client, fault, attempts }: Ordeal): string {
  return `${client}, ${fault}: ${attempts.map(toldAttempt).join(', then ')}`;
}

function toldAttempt({ outcome: { code, milliseconds }, wrong, isCut }: Attempt): string {
  const seconds = `${(milliseconds / 1000).toFixed(1)} s`;
  if (isCut) return `installed in ${seconds}, and cut ${wrong.length} files short`;
  if (code === 0) return `installed in ${seconds}`;
  return `failed after ${seconds}${wrong.length > 0 ? `, leaving ${wrong.length} wrong files` : ''}`;
}
