import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { report } from 'node:process';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { until } from './until.ts';

/** Clients by the hundred, as bare sockets, and what they cost the process that serves them (which is this one, too). */

/** That many, or as many as this process may have open at both ends with some to spare. */
export function crowdOf(wanted: number): number {
  const { userLimits } = report.getReport() as unknown as { userLimits?: { open_files: { soft: string } } };
  const files = Number(userLimits?.open_files.soft ?? wanted * 4);
  return Number.isNaN(files) ? wanted : Math.min(wanted, Math.floor((files - 300) / 2));
}

const present = new Set<Socket>();

/** Connects `count` clients to a port of 127.0.0.1, and lets each say what `greet` gives for its number. */
export async function gather(port: number, count: number, greet: (at: number) => string = () => ''): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => connect({ port, host: '127.0.0.1', noDelay: true }));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  for (const [at, socket] of sockets.entries()) {
    present.add(socket);
    // Whether a server cuts a connection or closes it is not what a crowd is about.
    socket.on('error', () => undefined);
    socket.write(greet(at));
  }
  return sockets;
}

/** Ends all connections that were gathered, at once and without a word. */
export async function scatter(): Promise<void> {
  for (const socket of present) socket.destroy();
  await Promise.all([...present].map(gone));
  present.clear();
}

/** Resolves when the connection is closed, whoever closed it and however. */
export function gone(socket: Socket): Promise<void> {
  return new Promise((resolve) => (socket.closed ? resolve() : socket.once('close', () => resolve())));
}

/** Sends bytes one at a time, each in a packet of its own. */
export async function trickle(socket: Socket, text: string): Promise<void> {
  for (const character of text) {
    await new Promise((resolve) => socket.write(character, 'latin1', resolve));
    await setImmediate();
  }
}

/** Sockets that are open in this process, of clients and servers alike. */
export const openSockets = (): number =>
  process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;

/** Resolves once no more sockets are open than there were. */
export async function socketsBack(before: number): Promise<void> {
  await until(`no more than ${before} sockets are open`, () => openSockets() <= before);
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes that are in use once all garbage is gone. */
export function bytesInUse(): number {
  // Buffers are only given back by the collection after the one that found them to be garbage.
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
