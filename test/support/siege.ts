import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { bundlePath, newTiles, tilePath } from '../../src/core/tile.ts';
import type { SourceState } from '../../src/mirror/log/log-follower.ts';
import { runCommand } from './processes.ts';
import { type LogServer, SignedLog, serveLog, vkeyOf } from './signed-log.ts';
import { type MirrorProcess, startMirrorProcess } from './spawn-mirror.ts';
import { tempFolder } from './temp-folder.ts';
import { until } from './until.ts';

/** What a mirror says of the log, at `/-/healthz`. */
export type LogHealth = {
  readonly size: number;
  readonly stopped: string | null;
  readonly sources: Readonly<Record<string, SourceState>>;
  readonly splitViews: readonly { readonly source: string; readonly held: string; readonly offered: string }[];
};

export type SourceName = 'origin' | 'peer 1';

/** A mirror as a process of its own; it looks at its origin and its peers many times each second. */
export interface SiegedMirror {
  readonly url: string;
  health(): Promise<LogHealth>;
  /** The checkpoint that it serves: the log's own words, without the cosignatures beneath them. */
  note(): Promise<string>;
  /** Resolves when it serves this checkpoint. */
  shows(note: string): Promise<void>;
  /** Asserts that it serves this log at this size: checkpoint, all tiles, all bundles, and nothing that is longer. */
  serves(log: SignedLog, size: number): Promise<void>;
  metric(line: RegExp): Promise<number>;
  /** Looks at a source so far that came to this; all of them if that is left out. */
  looks(source: string, outcome?: SourceState): Promise<number>;
  /** Its memory at the highest so far, bytes. */
  peakMemory(): number;
  kill(): Promise<void>;
}

/** A mirror between an origin and a peer, both of which serve the same log, until they are told to lie. */
export interface Siege {
  readonly log: SignedLog;
  readonly origin: LogServer;
  readonly peer: LogServer;
  readonly data: string;
  readonly mirror: SiegedMirror;
  /** Origin and peer tell the truth from now on. */
  beHonest(): void;
  /** Starts the mirror again on the same data. */
  restart(options?: object): Promise<SiegedMirror>;
  /** Kills the mirror, and asserts that `verify` finds nothing wrong with what it stored. */
  endSound(): Promise<void>;
  /** Names of the files that it keeps as evidence. */
  evidence(): Promise<string[]>;
}

/** Short enough for a test that waits for each of them to run out. */
const TIMES = { originMs: 25, peersMs: 25, peersAwayMs: 25, noteTimeoutMs: 500, tileTimeoutMs: 500 };

type Scope = Pick<TestContext, 'after'>;

/** @param options of the mirror, as mirror-process.ts takes them */
export async function besiege(
  t: Scope,
  log = new SignedLog().growTo(700),
  options: { door?: string; logTimes?: object } = {},
): Promise<Siege> {
  const [origin, peer] = [await serveLog(t, log), await serveLog(t, log)];
  const data = tempFolder();
  const start = (more: object) => {
    const settings = {
      originKey: vkeyOf(log.keys.root),
      peers: [peer.url],
      ...options,
      ...more,
      logTimes: { ...TIMES, ...options.logTimes },
    };
    return startSieged(t, origin.url, data, settings);
  };
  let mirror = await start({});
  await mirror.shows(await log.note());
  return {
    ...{ log, origin, peer, data },
    get mirror() {
      return mirror;
    },
    beHonest: () => {
      for (const server of [origin, peer]) {
        server.beHonest();
        server.shown = null;
      }
    },
    restart: async (more = {}) => {
      await mirror.kill();
      mirror = await start(more);
      return mirror;
    },
    endSound: async () => {
      await mirror.kill();
      const { code, stdout, stderr } = await runCommand(['verify', data]);
      assert.equal(code, 0, `${stdout}${stderr}`);
      assert.match(stdout, /^all is well$/m);
    },
    evidence: async () => readdir(join(data, 'evidence')).catch(() => []),
  };
}

async function startSieged(t: Scope, origin: string, data: string, options: object): Promise<SiegedMirror> {
  return sieged(await startMirrorProcess(t, origin, data, options));
}

function sieged({ url, pid, kill }: MirrorProcess): SiegedMirror {
  const get = (path: string) => fetch(`${url}/-/${path}`);
  const note = async () => signedByLogOnly(await (await get('federation/checkpoint')).text());
  const metric = async (line: RegExp) => {
    const page = await (await get('metrics')).text();
    const lines = page.split('\n').filter((one) => !one.startsWith('#') && line.test(one));
    return lines.reduce((sum, one) => sum + Number(one.split(' ').at(-1)), 0);
  };
  return {
    ...{ url, note, metric, kill },
    health: async () => ((await (await get('healthz')).json()) as { log: LogHealth }).log,
    shows: async (wanted) =>
      void (await until(`${url} shows\n${wanted}`, async () => (await note()) === wanted, 30_000)),
    serves: async (log, size) => {
      assert.equal(await note(), await log.note(size));
      await assertTiles(get, log, size);
    },
    looks: (source, outcome = undefined) => {
      const state = outcome ?? '[a-z-]+';
      return metric(new RegExp(`^open_registry_mirror_log_passes_total\\{source="${source}",outcome="${state}"`));
    },
    peakMemory: () => {
      const [, kibibytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
      return Number(kibibytes) * 1024;
    },
  };
}

/** Text, empty line, and the first signature. */
export function signedByLogOnly(note: string): string {
  return note.slice(0, note.indexOf('\n', note.indexOf('\n\n') + 2) + 1);
}

/** The tiles of the right edge and some full ones, each as the log makes it. */
async function assertTiles(get: (path: string) => Promise<Response>, log: SignedLog, size: number): Promise<void> {
  const tiles = newTiles(Math.max(0, size - 300), size);
  const wanted = [
    ...tiles.map((tile) => [tilePath(tile), log.tile(tile)] as const),
    ...tiles.filter(({ level }) => level === 0).map((tile) => [bundlePath(tile), log.bundle(tile)] as const),
  ];
  for (const [path, bytes] of wanted) {
    const answer = await get(`federation/${path}`);
    assert.equal(answer.status, 200, path);
    assert.ok(Buffer.from(await answer.arrayBuffer()).equals(bytes), path);
  }
}
