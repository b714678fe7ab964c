import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheRoot } from './folders.ts';
import { npm } from './npm.ts';
import { described } from './run.ts';

/** A program of others, out of an npm package. */
export type Fetched = {
  /** As people say it. */
  readonly label: string;
  /** The npm package that holds it, pinned. */
  readonly spec: string;
  /** Packages that go with it, pinned. */
  readonly also?: readonly string[];
  /** Its platform's program is put in place by an install script. */
  readonly native?: true;
};

/** Where a client is kept between runs; a folder that exists is complete. */
export function clientFolder(client: Fetched): string {
  return join(cacheRoot, 'clients', client.spec.replaceAll('/', '+'));
}

/** The folder that holds the client's program. */
export function clientPrograms(client: Fetched): string {
  return join(clientFolder(client), 'node_modules', '.bin');
}

export function isFetched(client: Fetched): boolean {
  return existsSync(clientFolder(client));
}

/** Fetches a client through npm, unless it is there; throws an error with npm's own words if that fails. */
export async function fetchClient(client: Fetched): Promise<void> {
  if (isFetched(client)) return;
  const folder = clientFolder(client);
  const staging = `${folder}.${process.pid}`;
  await mkdir(staging, { recursive: true });
  await writeFile(join(staging, 'package.json'), JSON.stringify(holder(client)));
  const scripts = client.native ? [] : ['--ignore-scripts'];
  const outcome = await npm(['install', ...scripts], staging);
  if (outcome.code !== 0) {
    await rm(staging, { recursive: true });
    throw new Error(`${client.label} could not be fetched: ${described(outcome)}`);
  }
  await keep(staging, folder);
}

/** Another process may have been faster; then its folder is as good. */
async function keep(staging: string, folder: string): Promise<void> {
  try {
    await rename(staging, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
    await rm(staging, { recursive: true });
  }
}

function holder({ spec, also = [], native }: Fetched): object {
  const [own = ['', ''], ...others] = [spec, ...also].map((one) => {
    const at = one.lastIndexOf('@');
    return [one.slice(0, at), one.slice(at + 1)] as const;
  });
  const allowScripts = native ? { [own[0]]: true } : {};
  return { private: true, dependencies: Object.fromEntries([own, ...others]), allowScripts };
}
