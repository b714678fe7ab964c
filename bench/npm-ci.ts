/**
 * A cold `npm ci` of a real application: through a warm mirror's own door, an origin's door that redirects to a warm
 * mirror, Verdaccio, and a replay out of memory.
 */
import { corpusTarballs } from './corpus.ts';
import { INSTALL_BYTES_MAX, timedInstall, warmMirror, warmRegistry } from './installs.ts';
import { memoryFolder } from './memory-folder.ts';
import { comparedRow, type Row } from './report.ts';
import type { Stage } from './stage.ts';

const BESIDE_VERDACCIO = { atMost: 0.85 };
const BESIDE_REPLAY = { atMost: 1.05 };
const REDIRECTED_MIN = 0.9;

export async function benchInstalls(stage: Stage): Promise<Row[]> {
  const { origin } = await stage.federation();
  const [replay, verdaccio, own] = [await stage.replay(), await stage.verdaccio(), await stage.door()];
  stage.say('npm-ci: making the servers hold everything');
  await warmMirror(origin.url);
  await warmRegistry(verdaccio.url);
  await warmRegistry(own.url);
  const before = await redirects(origin.url);
  const rounds = stage.quick ? 1 : 3;
  const registries = [replay.url, own.url, origin.url, verdaccio.url];
  const [memory = [], ours = [], redirected = [], theirs = []] = await inTurns(stage, registries, rounds);
  const tarballs = (await corpusTarballs()).length;
  const sent = ((await redirects(origin.url)) - before) / rounds;
  // Otherwise the figure would be that of the origin's own bytes. A tarball that is asked for twice comes from there.
  if (sent < tarballs * REDIRECTED_MIN) throw new Error(`only ${sent} of ${tarballs} tarballs came from the mirror`);
  const compare = (work: string, seconds: readonly number[]) => {
    const value = Math.min(...seconds);
    const beside = (who: string, peer: readonly number[], goal: { atMost: number }) =>
      comparedRow({ work, unit: 's', ours: { who: 'door', value }, peer: { who, value: Math.min(...peer) }, goal });
    return [beside('Verdaccio', theirs, BESIDE_VERDACCIO), beside('replay', memory, BESIDE_REPLAY)];
  };
  const work = `cold npm ci, ${tarballs} tarballs`;
  return [...compare(`${work}, a mirror's own door`, ours), ...compare(`${work}, by redirects`, redirected)];
}

/**
 * Seconds of each install, by registry. Each comes from a network of its own. The fastest counts: whatever else the
 * machine does in those many seconds only adds to them.
 */
async function inTurns(stage: Stage, registries: readonly string[], rounds: number): Promise<number[][]> {
  const seconds = registries.map(() => [] as number[]);
  // On a disk the same install takes once 5 s, once 25.
  const projects = await memoryFolder(stage, INSTALL_BYTES_MAX);
  for (let round = 1; round <= rounds; round++) {
    for (const [index, registry] of registries.entries()) {
      const taken = await timedInstall(projects, { registry, localAddress: `127.0.${round}.1` });
      stage.say(`npm-ci: ${registry} ${taken.toFixed(1)} s`);
      seconds[index]?.push(taken);
    }
  }
  return seconds;
}

/** Tarball requests that the origin has sent to a host so far. */
async function redirects(origin: string): Promise<number> {
  const page = await (await fetch(`${origin}/-/metrics`)).text();
  const lines = page.split('\n').filter((line) => /tarballs_total\{.*by="host"/.test(line));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}
