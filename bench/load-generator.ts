// Asks for one URL on several connections: `node load-generator.ts <url> <headers as JSON>`, the rest by environment.
// Takes more of a processor per request than wrk, so ratios between fast servers come out closer than they are.
import { Agent, get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const [url = '', headersJson = '{}'] = process.argv.slice(2);
const headers: Record<string, string> = JSON.parse(headersJson);
const setting = (name: string) => Number(process.env[`BENCH_${name}`] ?? 0);
const [seconds, connections, pauseMs] = [setting('SECONDS'), setting('CONNECTIONS'), setting('PAUSE_MS')];

const agent = new Agent({ keepAlive: true, maxSockets: connections });
const latencies: number[] = [];
let [bytes, errors] = [0, 0];

const start = performance.now();
const end = start + seconds * 1000;
await Promise.all(Array.from({ length: connections }, askUntilTheEnd));
const took = (performance.now() - start) / 1000;
latencies.sort((a, b) => a - b);
const p99Ms = latencies[Math.floor(latencies.length * 0.99)] ?? 0;
const result = { requestsPerSecond: latencies.length / took, bytesPerSecond: bytes / took, p99Ms, errors };
process.stdout.write(JSON.stringify(result));
agent.destroy();

async function askUntilTheEnd(): Promise<void> {
  while (performance.now() < end) {
    const asked = performance.now();
    await ask().catch(() => errors++);
    latencies.push(performance.now() - asked);
    if (pauseMs > 0) await sleep(pauseMs);
  }
}

function ask(): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent, headers }, (response) => {
      if ((response.statusCode ?? 500) >= 400) errors++;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      response.once('end', resolve).once('error', reject);
    });
    request.once('error', reject);
  });
}
