/** What the benchmarks of one run share: servers that are started when the first of them asks, and stopped at the end. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServerProcess } from './child.ts';
import { corpusTarballs, prepareCorpus } from './corpus.ts';
import type { Tools } from './machine.ts';
import {
  type Federation,
  prepareVerdaccio,
  startDoor,
  startMirror,
  startNginx,
  startOrigin,
  startReplay,
  startVerdaccio,
} from './servers.ts';

export type Stage = {
  readonly quick: boolean;
  readonly tools: Tools;
  /** A folder for this run alone, removed at its end. */
  readonly work: string;
  readonly say: (line: string) => void;
  replay(): Promise<ServerProcess>;
  federation(): Promise<Federation>;
  /** An organisation's own door, in front of the federation's origin. */
  door(): Promise<ServerProcess>;
  /** Null where nginx is not there. Serves {@link nginxFiles}. */
  nginx(): Promise<ServerProcess | null>;
  readonly nginxFiles: string;
  verdaccio(): Promise<ServerProcess>;
  /** Every server that was started and is measured, for those who look at memory. */
  running(): Promise<ServerProcess[]>;
  /** Runs at the end, the latest first. */
  atEnd(work: () => Promise<unknown>): void;
  close(): Promise<void>;
};

export async function openStage(quick: boolean, tools: Tools, say: (line: string) => void): Promise<Stage> {
  const work = await mkdtemp(join(tmpdir(), 'open-registry-bench-'));
  const cleanups: (() => Promise<unknown>)[] = [() => rm(work, { recursive: true, force: true, maxRetries: 3 })];
  const measured: Promise<ServerProcess>[] = [];
  const nginxFiles = join(work, 'files');
  await mkdir(nginxFiles);

  async function kept(starting: Promise<ServerProcess>): Promise<ServerProcess> {
    const server = await starting;
    cleanups.push(() => server.stop());
    return server;
  }

  const watched = (starting: Promise<ServerProcess>): Promise<ServerProcess> => {
    measured.push(starting);
    return kept(starting);
  };

  const replay = once(async () => {
    await prepareCorpus(say);
    return kept(startReplay(work));
  });
  const federation = once(async () => {
    const origin = await watched(startOrigin(work, (await replay()).url));
    await warmOrigin(origin.url);
    return { origin, mirror: await watched(startMirror(work, origin)) };
  });
  const door = once(async () => watched(startDoor(work, (await federation()).origin)));
  const nginx = once(async () => (tools.nginx ? watched(startNginx(work, tools.nginx, nginxFiles)) : null));
  const verdaccio = once(async () => {
    await prepareVerdaccio(say);
    return watched(startVerdaccio(work, (await replay()).url));
  });

  const close = async () => {
    for (let cleanup = cleanups.pop(); cleanup; cleanup = cleanups.pop())
      await cleanup().catch((error) => say(`${error}`));
  };
  const shared = { quick, tools, work, say, nginxFiles, replay, federation, door, nginx, verdaccio };
  const atEnd = (cleanup: () => Promise<unknown>) => void cleanups.push(cleanup);
  return { ...shared, running: () => Promise.all(measured), atEnd, close };
}

/** A mirror is in the rotation once it was seen to serve a real tarball, so the origin needs one. */
export async function warmOrigin(url: string): Promise<void> {
  const [tarball] = await corpusTarballs();
  const answer = await fetch(url + (tarball?.path ?? ''));
  await answer.arrayBuffer();
  if (!answer.ok) throw new Error(`the origin answered ${answer.status} to ${tarball?.path}`);
}

function once<T>(start: () => Promise<T>): () => Promise<T> {
  let started: Promise<T> | undefined;
  return () => {
    started ??= start();
    return started;
  };
}
