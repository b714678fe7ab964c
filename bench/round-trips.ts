// How far away servers are, ms: `node round-trips.ts <url> ...` prints the shortest of some connects to each, as JSON.
import { once } from 'node:events';
import { connect } from 'node:net';

const CONNECTS = 5;

const shortest: number[] = [];
for (const url of process.argv.slice(2)) {
  const { hostname, port } = new URL(url);
  const times: number[] = [];
  for (let count = 0; count < CONNECTS; count++) times.push(await connectMs(hostname, Number(port)));
  shortest.push(Number(Math.min(...times).toFixed(1)));
}
process.stdout.write(JSON.stringify(shortest));

async function connectMs(host: string, port: number): Promise<number> {
  const started = performance.now();
  const socket = connect(port, host);
  await once(socket, 'connect');
  socket.destroy();
  return performance.now() - started;
}
