/** Two network namespaces with a wire between them, on which each server is as far away as it is meant to be. */
import { run } from '../test/support/run.ts';
import type { Tools } from './machine.ts';

/** Address of a server, and its round-trip time from the client, ms. */
export type Distance = { readonly host: string; readonly ms: number };

export type Wire = {
  /** What goes before a command to run it among the servers, or at the client. */
  readonly atServers: readonly string[];
  readonly atClient: readonly string[];
  remove(): Promise<void>;
};

/** Thrown where namespaces can't be had, with the reason. */
export class NoNamespacesError extends Error {
  override readonly name = 'NoNamespacesError';
}

const QUEUE_PACKETS = 100_000;

/**
 * @param clients addresses of the client; all addresses lie in one /16
 * @throws NoNamespacesError if this machine or user can't have them
 */
export async function makeWire(
  { ip, tc }: Pick<Tools, 'ip' | 'tc'>,
  distances: readonly Distance[],
  clients: readonly string[],
): Promise<Wire> {
  if (ip === null || tc === null) throw new NoNamespacesError('iproute2 is not here');
  if (process.getuid?.() !== 0) throw new NoNamespacesError('making network namespaces needs root');
  const [servers, client] = [`bench-${process.pid}-s`, `bench-${process.pid}-c`];
  const at = (name: string) => [ip, 'netns', 'exec', name];
  const remove = async () => {
    for (const name of [servers, client]) await run(ip, ['netns', 'del', name], { cwd: '/', env: {} });
  };
  try {
    for (const command of commands({ ip, tc, servers, client, distances, clients })) await must(command);
  } catch (error) {
    await remove();
    throw error;
  }
  return { atServers: at(servers), atClient: at(client), remove };
}

type Layout = {
  readonly ip: string;
  readonly tc: string;
  readonly servers: string;
  readonly client: string;
  readonly distances: readonly Distance[];
  readonly clients: readonly string[];
};

function commands({ ip, tc, servers, client, distances, clients }: Layout): string[][] {
  const inServers = (...args: string[]) => [ip, '-n', servers, ...args];
  const inClient = (...args: string[]) => [ip, '-n', client, ...args];
  const shape = (...args: string[]) => [tc, '-n', servers, ...args];
  const bands = distances.length + 1;
  return [
    [ip, 'netns', 'add', servers],
    [ip, 'netns', 'add', client],
    [ip, 'link', 'add', 'wire', 'netns', servers, 'type', 'veth', 'peer', 'name', 'wire', 'netns', client],
    ...distances.map(({ host }) => inServers('addr', 'add', `${host}/16`, 'dev', 'wire')),
    ...clients.map((address) => inClient('addr', 'add', `${address}/16`, 'dev', 'wire')),
    ...['lo', 'wire'].flatMap((link) => [inServers('link', 'set', link, 'up'), inClient('link', 'set', link, 'up')]),
    // All goes to the last band, which is not delayed, unless a filter says otherwise.
    shape(
      ...['qdisc', 'add', 'dev', 'wire', 'root', 'handle', '1:', 'prio', 'bands', `${bands}`, 'priomap'],
      ...Array<string>(16).fill(`${bands - 1}`),
    ),
    ...distances.flatMap(({ host, ms }, index) => [
      shape(
        ...['qdisc', 'add', 'dev', 'wire', 'parent', `1:${index + 1}`, 'netem'],
        ...['delay', `${ms}ms`, 'limit', `${QUEUE_PACKETS}`],
      ),
      shape(
        ...['filter', 'add', 'dev', 'wire', 'parent', '1:', 'protocol', 'ip', 'u32'],
        ...['match', 'ip', 'src', `${host}/32`, 'flowid', `1:${index + 1}`],
      ),
    ]),
  ];
}

async function must([program = '', ...args]: readonly string[]): Promise<void> {
  const { code, stderr } = await run(program, args, { cwd: '/', env: {}, timeoutMs: 10_000 });
  if (code === 0) return;
  const step = args.slice(2, 6).join(' ');
  throw new NoNamespacesError(`this kernel or user can't have it (${step} …: ${stderr.trim().split('\n', 1)[0]})`);
}
