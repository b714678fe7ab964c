import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { callAdmin } from '../../src/io/admin-socket.ts';
import type { HostListing } from '../../src/origin/hosts/host-views.ts';
import { type Forwarder, loopbackNetwork, startForwarder } from './forwarder.ts';
import { type Meddler, startMeddler } from './meddler.ts';
import { freePort, type Running, startCommand } from './processes.ts';
import { tempFolder } from './temp-folder.ts';
import { until } from './until.ts';
import { startUpstream, type Upstream } from './upstream.ts';

/** An origin and its mirrors, each a process of its own as if on machines of their own. */
export interface Cluster {
  readonly upstream: Upstream;
  /** Where clients reach the origin. */
  readonly door: Forwarder;
  origin: Running;
  readonly originUrl: string;
  readonly data: string;
  /** The next clients come from a network that was not there before. */
  moveOn(): void;
  hosts(): Promise<HostListing[]>;
  /** Starts the origin anew on the same data and port, after it was killed. */
  restart(): Promise<void>;
}

/** A mirror that its origin has approved. */
export interface Host {
  readonly id: string;
  /** Where clients are sent. */
  readonly url: string;
  running: Running;
  /** Starts it anew with the same data and address, after it was killed, and waits until clients are sent there. */
  restart(): Promise<void>;
}

/** @param settings flags of the origin besides those that a cluster needs */
export async function startCluster(t: Pick<TestContext, 'after'>, settings: readonly string[] = []): Promise<Cluster> {
  const upstream = await startUpstream(t);
  const door = await startForwarder(t);
  const data = tempFolder();
  const port = await freePort();
  const place = ['--data', data, '--port', `${port}`, '--allow-private'];
  const flags = ['origin', ...place, '--upstream', upstream.url, '--door', `redirect=${door.url}`, ...settings];
  const start = async () => {
    const running = await startCommand(t, flags);
    await running.ready('origin');
    return running;
  };
  let network = 0;
  const moveOn = () => {
    network += 1;
    door.route(port, loopbackNetwork(network));
  };
  moveOn();
  const hosts = async () => (await callAdmin(data, 'GET', ['hosts'])) as HostListing[];
  const cluster: Cluster = {
    ...{ upstream, door, data, moveOn, hosts },
    origin: await start(),
    originUrl: `http://127.0.0.1:${port}`,
    restart: async () => {
      cluster.origin = await start();
    },
  };
  return cluster;
}

/** Starts a mirror, and approves it; the origin sends clients there when this resolves. */
export async function addHost(
  t: Pick<TestContext, 'after'>,
  cluster: Cluster,
  publicUrl?: string,
  port?: number,
): Promise<Host> {
  const place = ['--data', tempFolder(), '--host', '127.0.0.1', '--port', `${port ?? (await freePort())}`];
  const flags = ['mirror', '--origin', cluster.originUrl, ...place, ...(publicUrl ? ['--public-url', publicUrl] : [])];
  const running = await startCommand(t, flags);
  const [url = ''] = await running.ready('mirror');
  const id = (await running.line(/^host id\s+(\S+)/))[1] ?? '';
  await until('it applied', async () => (await cluster.hosts()).some((host) => host.id === id));
  await callAdmin(cluster.data, 'POST', ['hosts', id, 'approve']);
  await untilHealthy(cluster, id, true);
  const host: Host = {
    ...{ id, url, running },
    restart: async () => {
      host.running = await startCommand(t, flags);
      await untilHealthy(cluster, id, true);
    },
  };
  return host;
}

/** A mirror whose answers pass through somebody who meddles with them. */
export async function addMeddledHost(
  t: Pick<TestContext, 'after'>,
  cluster: Cluster,
): Promise<Host & { readonly meddler: Meddler }> {
  const port = await freePort();
  const meddler = await startMeddler(t, `http://127.0.0.1:${port}`);
  return Object.assign(await addHost(t, cluster, meddler.url, port), { meddler });
}

/** Resolves when the origin sends clients to the host, or no longer does. */
export async function untilHealthy(cluster: Cluster, id: string, wanted: boolean): Promise<void> {
  const isSo = async () => {
    const host = (await cluster.hosts()).find((one) => one.id === id);
    assert.ok(host, `the origin knows no host ${id}`);
    return (host.present && host.healthy) === wanted;
  };
  await until(`host ${id} is ${wanted ? 'in' : 'out of'} the rotation`, isSo, 45_000);
}
