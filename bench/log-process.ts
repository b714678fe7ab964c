/**
 * One process of the log's benchmark: `node log-process.ts <role> <options as JSON>`, started and spoken to by
 * log-child.ts. Origin and mirror are those of the command line, with a look at what they do.
 */
import { channel } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { rendezvous } from '../src/core/selection.ts';
import { createLogger } from '../src/io/logger.ts';
import { startMirror } from '../src/mirror/service.ts';
import { startOrigin } from '../src/origin/service.ts';
import { measureAppends } from './log-append-runs.ts';
import type { Told } from './log-child.ts';
import { fillOrigin } from './log-fill.ts';

type Closable = { close(): Promise<unknown> };

const BYTES_OF_MB = 1_000_000;
const HOST = '127.0.0.1';
const NOBODY: Closable = { close: async () => undefined };

const ROLES: Readonly<Record<string, (options: never) => Promise<Closable>>> = {
  origin: beOrigin,
  mirror: beMirror,
  fill: async ({ data, size }: { data: string; size: number }) => result(fillOrigin(data, size)),
  appends: async (options: Parameters<typeof measureAppends>[0]) => result(measureAppends(options)),
};

const sockets = new Set<Socket>();
let receivedBytes = 0;
channel('net.client.socket').subscribe((message) => {
  const { socket } = message as { socket: Socket };
  sockets.add(socket);
  socket.once('close', () => {
    sockets.delete(socket);
    receivedBytes += socket.bytesRead;
  });
});

const startedMs = clockMs();
const [role = '', options = '{}'] = process.argv.slice(2);
const running = await (ROLES[role] as (options: unknown) => Promise<Closable>)(JSON.parse(options));
process.on('message', (asked) => (asked === 'facts' ? tell({ what: 'facts', ...facts() }) : stop()));
process.on('disconnect', stop);

/** @param options `admitting`: whoever applies, which makes entries */
async function beOrigin({
  admitting,
  ...settings
}: {
  admitting: boolean;
  data: string;
  port: number;
  upstream: string;
}): Promise<Closable> {
  const lists = {
    doors: [],
    trustProxy: [],
    neverAsk: [],
    upstreamTarballs: [],
    redirectUnverified: [],
    trustedHosts: [],
    redirectTrusted: [],
    redirectNever: [],
  };
  const sizeNow = sizeReader(settings.data);
  const origin = await startOrigin(
    { ...settings, ...lists, host: HOST, allowPrivate: true, freshnessMs: 3_600_000 },
    {
      logger: createLogger({ role: 'origin', level: 'silent' }),
      version: '0.0.0',
      select: rendezvous,
      defaultUpstream: '',
      isOwnHost: () => admitting,
      step: (step) => {
        if (step === 'journal:appended') tell({ what: 'committed', atMs: clockMs(), size: sizeNow() });
      },
    },
  );
  tell({ what: 'ready', url: `http://${HOST}:${origin.port}` });
  return origin;
}

/** Looks into the file beside the server that writes it: a reader sees what is committed. */
function sizeReader(data: string): () => number {
  let read: (() => number) | null = null;
  return () => {
    if (read === null) {
      const head = new DatabaseSync(join(data, 'metadata.sqlite'), { readOnly: true }).prepare('SELECT size FROM tree');
      read = () => Number(head.get()?.size);
    }
    return read();
  };
}

async function beMirror(settings: { data: string; origin: string }): Promise<Closable> {
  const mirror = await startMirror(
    { ...settings, port: 0, host: HOST, publicUrl: null, originKey: null, peers: [] },
    { logger: createLogger({ role: 'mirror', level: 'silent' }), software: 'bench' },
  );
  const served = (size: number) => tell({ what: 'served', atMs: clockMs(), size });
  mirror.follower.subscribe(({ checkpoint }) => served(checkpoint.size));
  served(mirror.follower.size());
  tell({ what: 'ready', url: mirror.url });
  return mirror;
}

async function result(work: Promise<unknown>): Promise<Closable> {
  tell({ what: 'result', value: (await work) ?? null });
  return NOBODY;
}

function facts() {
  const openBytes = [...sockets].reduce((sum, { bytesRead }) => sum + bytesRead, 0);
  const peakMb = (process.resourceUsage().maxRSS * 1024) / BYTES_OF_MB;
  const rssMb = process.memoryUsage.rss() / BYTES_OF_MB;
  return { startedMs, receivedBytes: receivedBytes + openBytes, rssMb, peakMb };
}

function clockMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

function tell(told: Told): void {
  process.send?.(told);
}

async function stop(): Promise<void> {
  await running.close();
  process.exit();
}
