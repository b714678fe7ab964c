/** Counters and gauges of one server, as a page that Prometheus reads. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { CACHE } from '../core/http-semantics.ts';
import type { Answer } from './http-answer.ts';

export type Metrics = {
  /** Requests answered, by what they were taken for and by status; 499 where the client left before the headers. */
  readonly requests: Counter<'kind' | 'status'>;
  /** Each returns the metric of that name, made at first use; names get the prefix `open_registry_`. */
  counter(name: string, help: string, labels?: readonly string[]): Counter;
  /** @param collect sets the value just before the page is written */
  gauge(name: string, help: string, labels?: readonly string[], collect?: (gauge: Gauge) => void): Gauge;
  /** @param buckets upper bounds in seconds */
  histogram(name: string, help: string, labels?: readonly string[], buckets?: readonly number[]): Histogram;
  page(): Promise<{ readonly contentType: string; readonly body: Uint8Array }>;
};

const PREFIX = 'open_registry_';
/** From a memory hit to an upstream that has almost run into its time-out. */
const SECONDS_BUCKETS = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60];

/** @param role becomes the label `role` of every metric, so that one process can hold several servers */
export function createMetrics(role: string): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ role });
  const known = <T>(name: string, make: () => T): T =>
    (registry.getSingleMetric(PREFIX + name) as T | undefined) ?? make();
  const common = (name: string, help: string, labels: readonly string[] = []) => ({
    name: PREFIX + name,
    help,
    labelNames: [...labels],
    registers: [registry],
  });
  const counter: Metrics['counter'] = (name, help, labels) =>
    known(name, () => new Counter(common(name, help, labels)));
  const gauge: Metrics['gauge'] = (name, help, labels, collect) => {
    const options = common(name, help, labels);
    return known(
      name,
      () =>
        new Gauge(
          collect === undefined
            ? options
            : {
                ...options,
                collect() {
                  collect(this);
                },
              },
        ),
    );
  };
  const histogram: Metrics['histogram'] = (name, help, labels, buckets = SECONDS_BUCKETS) =>
    known(name, () => new Histogram({ ...common(name, help, labels), buckets: [...buckets] }));
  gauge('memory_bytes', 'Resident memory of the process', [], (it) => it.set(process.memoryUsage.rss()));
  gauge('uptime_seconds', 'Time since the process started', [], (it) => it.set(process.uptime()));
  return {
    requests: counter('http_requests_total', 'Requests answered, by kind and status', ['kind', 'status']),
    counter,
    gauge,
    histogram,
    page: async () => ({ contentType: registry.contentType, body: Buffer.from(await registry.metrics()) }),
  };
}

/** The page as it is served. */
export async function metricsAnswer(metrics: Metrics): Promise<Answer> {
  const { contentType, body } = await metrics.page();
  return { status: 200, headers: { 'content-type': contentType, 'cache-control': CACHE.noStore }, body };
}
