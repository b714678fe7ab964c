import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Application, smallApplication } from './application.ts';
import { installTwice, reasonToSkip, token } from './client-check.ts';
import type { Client } from './client-table.ts';
import { type Forwarder, loopbackNetwork, startForwarder } from './forwarder.ts';
import { freePort, type Running, startCommand } from './processes.ts';
import { tempFolder } from './temp-folder.ts';
import { startUpstream, type Upstream } from './upstream.ts';
import { carries, type Visit } from './visits.ts';

/** An origin and its mirrors in one process, behind a door that each client reaches from another network. */
export interface Federation {
  readonly upstream: Upstream;
  readonly door: Forwarder;
  readonly data: string;
  running: Running;
  originPort: number;
  mirrorPorts: readonly number[];
  /** The next clients come from a network that was not there before. */
  moveOn(): void;
  /** Starts the servers anew on the same data, after they were stopped or killed; clients find them at the same door. */
  start(): Promise<void>;
}

export async function startFederation(
  t: Pick<TestContext, 'after'>,
  mirrors = 2,
  data = join(tempFolder(), 'data'),
): Promise<Federation> {
  const upstream = await startUpstream(t);
  const door = await startForwarder(t);
  const flags = [
    '--mirrors',
    `${mirrors}`,
    '--upstream',
    upstream.url,
    '--data',
    data,
    '--door',
    `redirect=${door.url}`,
  ];
  const servers = async () => {
    // Chosen here, as an origin with a door of its own says that it is ready at the door.
    const originPort = await freePort();
    const running = await startCommand(t, ['up', '--port', `${originPort}`, ...flags]);
    await running.ready('origin');
    return { running, originPort, mirrorPorts: (await running.ready('mirror', mirrors)).map(portOf) };
  };
  let network = 0;
  const federation: Federation = {
    ...{ upstream, door, data, ...(await servers()) },
    moveOn: () => {
      network += 1;
      door.route(federation.originPort, loopbackNetwork(network));
    },
    start: async () => {
      Object.assign(federation, await servers());
      federation.moveOn();
    },
  };
  federation.moveOn();
  return federation;
}

/**
 * Installs with each client through one federation, and looks at what every server of it was asked. The first install, of a client
 * that is sent to mirrors by nobody, lets the origin learn and store everything, as it serves what it does not hold yet by itself.
 */
export function testThroughFederation(
  clients: readonly Client[],
  warmer: Client,
  application: Application = smallApplication,
): void {
  test('clients install through an origin and two mirrors', async (t) => {
    const federation = await startFederation(t);
    await t.test(`${warmer.label} installs first`, { skip: reasonToSkip(warmer) }, async (t) => {
      await installThrough(t, federation, warmer, application);
    });
    for (const client of clients) {
      await t.test(client.label, { skip: reasonToSkip(client) }, async (t) => {
        const visits = await installThrough(t, federation, client, application);
        checkServers(federation, client, application, visits);
      });
    }
  });
}

/** Both installs of a client, and the requests that they caused at the federation's servers. */
async function installThrough(
  t: TestContext,
  federation: Federation,
  client: Client,
  application: Application,
): Promise<Visit[]> {
  const before = (await federation.running.visits()).length;
  federation.moveOn();
  await installTwice(t, client, federation.door.url, { application, between: federation.moveOn });
  return (await federation.running.visits()).slice(before);
}

function checkServers(
  { originPort, mirrorPorts }: Federation,
  client: Client,
  { packagesMin, redirectedMin }: Application,
  visits: readonly Visit[],
): void {
  const atDoor = visits.filter(({ port, url }) => port === originPort && /\/-\/[^/?]+\.tgz$/.test(url));
  const agents = new Set(atDoor.map(({ headers }) => headers['user-agent']));
  const atMirrors = visits.filter(
    ({ port, headers }) => mirrorPorts.includes(port) && agents.has(headers['user-agent']),
  );
  assert.ok(
    atDoor.length >= 2 * packagesMin,
    `${client.label} asked the door for its tarballs, ${atDoor.length} in all`,
  );
  const sent = atDoor.filter(({ status }) => status === 302);
  const least = client.redirected ? redirectedMin * atDoor.length : 0;
  assert.ok(sent.length >= least, `${sent.length} of ${atDoor.length} were redirected`);
  assert.ok(
    atDoor.every(({ status }) => status === 302 || status === 200),
    'the door serves what it does not redirect',
  );
  assert.deepEqual(statuses(atMirrors), client.redirected ? [200] : []);
  assert.equal(atMirrors.length, sent.length);
  assert.deepEqual(
    visits.filter((visit) => mirrorPorts.includes(visit.port) && carries(visit, token)),
    [],
  );
  assert.ok(
    visits.some((visit) => visit.port === originPort && carries(visit, token)),
    'the token was in use at the door',
  );
}

function statuses(visits: readonly Visit[]): number[] {
  return [...new Set(visits.map(({ status }) => status))].sort();
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}
