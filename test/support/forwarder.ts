import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

/** Stands in front of a server as `http://localhost:<port>` and reaches it from a loopback address of the test's choice. */
export interface Forwarder {
  readonly port: number;
  /** As clients name it; no slash at the end. */
  readonly url: string;
  /** Connections taken since the start. */
  connections(): number;
  /** Where connections go from now on, and from which address; open connections are dropped. */
  route(targetPort: number, from: string): void;
  close(): Promise<void>;
}

/** Starts a forwarder on both loopback families, as `localhost` may be either; it ends with the test. */
export async function startForwarder(t: Pick<TestContext, 'after'>): Promise<Forwarder> {
  const sockets = new Set<Socket>();
  let taken = 0;
  let route = { port: 0, localAddress: '127.0.0.1' };
  const take = (client: Socket) => {
    taken += 1;
    join(client, connect({ ...route, host: '127.0.0.1' }), sockets);
  };
  const { port, servers } = await listenOnLoopback(take);
  const drop = () => {
    for (const socket of sockets) socket.destroy();
  };
  const forwarder: Forwarder = {
    port,
    url: `http://localhost:${port}`,
    connections: () => taken,
    route: (targetPort, from) => {
      drop();
      route = { port: targetPort, localAddress: from };
    },
    close: async () => {
      const closed = servers.map((server) => new Promise((resolve) => server.close(resolve)));
      drop();
      await Promise.all(closed);
    },
  };
  t.after(() => forwarder.close());
  return forwarder;
}

/** An address in a loopback network of its own: servers that look at /24s see another client for each number. */
export function loopbackNetwork(number: number): string {
  return `127.${1 + (number >> 8)}.${number & 255}.1`;
}

function join(client: Socket, server: Socket, sockets: Set<Socket>): void {
  for (const [socket, other] of [
    [client, server],
    [server, client],
  ] as const) {
    sockets.add(socket);
    socket.on('error', () => other.destroy());
    socket.on('close', () => {
      sockets.delete(socket);
      other.destroy();
    });
    socket.pipe(other);
  }
}

async function listenOnLoopback(take: (client: Socket) => void): Promise<{ port: number; servers: Server[] }> {
  const first = await listen(take, '127.0.0.1', 0);
  const { port } = first.address() as AddressInfo;
  try {
    return { port, servers: [first, await listen(take, '::1', port)] };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRNOTAVAIL') return { port, servers: [first] };
    first.close();
    if (code === 'EADDRINUSE') return listenOnLoopback(take);
    throw error;
  }
}

function listen(take: (client: Socket) => void, host: string, port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true }, take).once('error', reject);
    server.listen(port, host, () => resolve(server));
  });
}
