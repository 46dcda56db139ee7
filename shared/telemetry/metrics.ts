// The metrics port over prom-client. The registry is handed in, so that two parts in one process do not share numbers.

import { type Aggregator, AggregatorRegistry, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Labels, Metrics } from '../ports/metrics.ts';
import type { MetricDeclaration } from './metric-declarations.ts';

/** Everything that one process has counted, as plain data. */
export type MetricValues = Awaited<ReturnType<Registry['getMetricsAsJSON']>>;

export interface RegistryMetrics extends Metrics {
  /** Everything in the Prometheus text format. */
  text(): Promise<string>;
  readonly contentType: string;
}

export interface ProcessMetrics extends RegistryMetrics {
  /**
   * For `aggregateMetrics`. A process that has only some of the parts gives `usedOnly`: gauges that it never set would count
   * as zero.
   */
  values(usedOnly: boolean): Promise<MetricValues>;
}

export interface MetricsOptions {
  /** Where the numbers are kept; a new one unless given. */
  readonly registry?: Registry;
  /** Told once per name that was used but never declared; such a metric is dropped. */
  readonly onUndeclared: (name: string) => void;
  readonly declared: Readonly<Record<string, MetricDeclaration>>;
}

export function createMetrics({ registry = new Registry(), onUndeclared, declared }: MetricsOptions): ProcessMetrics {
  const counters = new Map<string, Counter>();
  const gauges = new Map<string, Gauge>();
  const histograms = new Map<string, Histogram>();
  const undeclared = new Set<string>();

  const used = new Set<string>();

  for (const [name, { kind, help, labels, buckets, across = 'sum' }] of Object.entries(declared)) {
    const settings = { name, help, labelNames: [...labels], registers: [registry], aggregator: across as Aggregator };
    if (kind === 'counter') counters.set(name, new Counter(settings));
    else if (kind === 'gauge') gauges.set(name, new Gauge(settings));
    else histograms.set(name, new Histogram(buckets === undefined ? settings : { ...settings, buckets: [...buckets] }));
  }

  function lookUp<Kind>(of: ReadonlyMap<string, Kind>, name: string): Kind | undefined {
    const found = of.get(name);
    used.add(name);
    if (found === undefined && !undeclared.has(name)) {
      undeclared.add(name);
      onUndeclared(name);
    }
    return found;
  }

  return {
    count: (name, labels: Labels = {}, by = 1) => lookUp(counters, name)?.inc(labels, by),
    gauge: (name, value, labels: Labels = {}) => lookUp(gauges, name)?.set(labels, value),
    observe: (name, seconds, labels: Labels = {}) => lookUp(histograms, name)?.observe(labels, seconds),
    text: () => registry.metrics(),
    async values(usedOnly) {
      const all = await registry.getMetricsAsJSON();
      return usedOnly ? all.filter(({ name }) => used.has(name)) : all;
    },
    contentType: registry.contentType,
  };
}

/** What several processes have counted as if one had: each metric by the way that its declaration names. */
export function aggregateMetrics(values: readonly MetricValues[]): Promise<string> {
  return AggregatorRegistry.aggregate(values.map((each) => [...each])).metrics();
}
