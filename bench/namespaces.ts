/** Two network namespaces with a wire between them, on which each server is as far away as it is meant to be. */
import { join } from 'node:path';
import { run } from '../test/support/run.ts';
import { type ServerProcess, startServer } from './child.ts';
import type { Tools } from './machine.ts';

/** Address of a server, and its round-trip time from the client, ms. */
export type Distance = { readonly host: string; readonly ms: number };

export type Wire = {
  /** What delays packets on it. */
  readonly delayedBy: string;
  /** What goes before a command to run it among the servers, or at the client. */
  readonly atServers: readonly string[];
  readonly atClient: readonly string[];
  remove(): Promise<void>;
};

/** Thrown where namespaces or a wire can't be had, with the reason. */
export class NoWireError extends Error {
  override readonly name = 'NoWireError';
}

const QUEUE_PACKETS = 100_000;

/**
 * @param clients addresses of the client; all addresses lie in one /16
 * @throws NoWireError if this machine or user can't have it
 */
export async function makeWire(
  { ip, tc }: Pick<Tools, 'ip' | 'tc'>,
  distances: readonly Distance[],
  clients: readonly string[],
): Promise<Wire> {
  if (ip === null || tc === null) throw new NoWireError('iproute2 is not here');
  if (process.getuid?.() !== 0) throw new NoWireError('making network namespaces needs root');
  const [servers, client] = [`bench-${process.pid}-s`, `bench-${process.pid}-c`];
  const layout = { ip, tc, servers, client, distances, clients };
  let shuttle: ServerProcess | null = null;
  const remove = async () => {
    await shuttle?.stop();
    for (const name of [servers, client]) await run(ip, ['netns', 'del', name], { cwd: '/', env: {} });
  };
  try {
    for (const name of [servers, client]) await must([ip, 'netns', 'add', name]);
    if (!(await layWithNetem(layout))) shuttle = await layWithShuttle(layout);
    for (const command of addressing(layout)) await must(command);
  } catch (error) {
    await remove();
    throw error;
  }
  const at = (name: string) => [ip, 'netns', 'exec', name];
  const delayedBy = shuttle === null ? 'netem' : 'a program';
  return { delayedBy, atServers: at(servers), atClient: at(client), remove };
}

type Layout = {
  readonly ip: string;
  readonly tc: string;
  readonly servers: string;
  readonly client: string;
  readonly distances: readonly Distance[];
  readonly clients: readonly string[];
};

/** False, and nothing laid, on a kernel without prio or netem. */
async function layWithNetem(layout: Layout): Promise<boolean> {
  const { ip, servers, client } = layout;
  await must([ip, 'link', 'add', 'wire', 'netns', servers, 'type', 'veth', 'peer', 'name', 'wire', 'netns', client]);
  try {
    for (const command of shaping(layout)) await must(command);
    return true;
  } catch (error) {
    if (!(error instanceof NoWireError)) throw error;
    await must([ip, '-n', servers, 'link', 'del', 'wire']);
    return false;
  }
}

function shaping({ tc, servers, distances }: Layout): string[][] {
  const shape = (...args: string[]) => [tc, '-n', servers, ...args];
  const bands = distances.length + 1;
  return [
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

/** The two devices of the program become the two ends. */
async function layWithShuttle({ ip, servers, client, distances }: Layout): Promise<ServerProcess> {
  const script = join(import.meta.dirname, 'shuttle.ts');
  const program = [process.execPath, '--disable-warning=ExperimentalWarning', script, 'wire', 'far'];
  const delays = distances.map(({ host, ms }) => `${host}=${ms}`);
  const command = [ip, 'netns', 'exec', servers, ...program, ...delays];
  const started = startServer({ name: 'shuttle', command, url: '', readyPath: '', readyLine: /^ready$/m, cwd: '/' });
  const shuttle = await started.catch((error: Error) => {
    const reason = /^.*Error: (.+)$/m.exec(error.message)?.[1] ?? error.message;
    throw new NoWireError(`this kernel has no netem, and a program can't take its place (${reason})`);
  });
  try {
    await must([ip, '-n', servers, 'link', 'set', 'far', 'netns', client, 'name', 'wire']);
    for (const end of [servers, client])
      await must([ip, '-n', end, 'link', 'set', 'wire', 'txqueuelen', `${QUEUE_PACKETS}`]);
    return shuttle;
  } catch (error) {
    await shuttle.stop();
    throw error;
  }
}

function addressing({ ip, servers, client, distances, clients }: Layout): string[][] {
  const inServers = (...args: string[]) => [ip, '-n', servers, ...args];
  const inClient = (...args: string[]) => [ip, '-n', client, ...args];
  return [
    ...distances.map(({ host }) => inServers('addr', 'add', `${host}/16`, 'dev', 'wire')),
    ...clients.map((address) => inClient('addr', 'add', `${address}/16`, 'dev', 'wire')),
    ...['lo', 'wire'].flatMap((link) => [inServers('link', 'set', link, 'up'), inClient('link', 'set', link, 'up')]),
  ];
}

async function must([program = '', ...args]: readonly string[]): Promise<void> {
  const { code, stderr } = await run(program, args, { cwd: '/', env: {}, timeoutMs: 10_000 });
  if (code === 0) return;
  const step = args.slice(2, 6).join(' ');
  throw new NoWireError(`this kernel or user can't have it (${step} …: ${stderr.trim().split('\n', 1)[0]})`);
}
