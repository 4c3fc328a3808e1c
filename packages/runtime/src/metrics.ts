// SPDX-License-Identifier: Apache-2.0
// Prometheus metrics of a process: one registry, our prefix, and how late the event loop runs.

import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** Every metric of Remex begins with this. */
export const metricPrefix = "remex_";

/** Buckets for waits and calls, in seconds: from half a millisecond to ten seconds. */
export const durationBuckets = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/** Makes metrics; asking twice for one name gives the same metric. Names get the prefix. */
export interface Metrics {
  counter<Name extends string = never>(
    name: string,
    help: string,
    labels?: readonly Name[],
  ): Counter<Name>;
  gauge<Name extends string = never>(
    name: string,
    help: string,
    labels?: readonly Name[],
  ): Gauge<Name>;
  /** Durations in seconds unless `buckets` say otherwise. */
  histogram<Name extends string = never>(
    name: string,
    help: string,
    labels?: readonly Name[],
    buckets?: readonly number[],
  ): Histogram<Name>;
  /** The text that Prometheus reads. */
  text(): Promise<string>;
  readonly contentType: string;
}

export interface MetricsOptions {
  /** Labels of every metric, for example the service's name. */
  readonly labels?: Readonly<Record<string, string>>;
  /** False leaves out process and event loop metrics, for tests. */
  readonly withProcess?: boolean;
}

export function createMetrics(options: MetricsOptions = {}): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ ...options.labels });
  if (options.withProcess !== false) {
    collectDefaultMetrics({ register: registry });
    watchEventLoop(registry);
  }

  function once<Metric>(name: string, make: (full: string) => Metric): Metric {
    const full = `${metricPrefix}${name}`;
    return (registry.getSingleMetric(full) as Metric | undefined) ?? make(full);
  }

  const registers = [registry];
  return {
    counter: (name, help, labels) =>
      once(
        name,
        (full) => new Counter({ name: full, help, registers, labelNames: [...(labels ?? [])] }),
      ),
    gauge: (name, help, labels) =>
      once(
        name,
        (full) => new Gauge({ name: full, help, registers, labelNames: [...(labels ?? [])] }),
      ),
    histogram: (name, help, labels, buckets) =>
      once(
        name,
        (full) =>
          new Histogram({
            name: full,
            help,
            registers,
            labelNames: [...(labels ?? [])],
            buckets: [...(buckets ?? durationBuckets)],
          }),
      ),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

/** The delay beyond its due time with which the loop turns: a stalled loop shows here first. */
function watchEventLoop(registry: Registry): void {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  new Gauge({
    name: `${metricPrefix}event_loop_lag_seconds`,
    help: "Delay of the event loop since the last reading, by quantile.",
    labelNames: ["quantile"],
    registers: [registry],
    collect() {
      this.set({ quantile: "0.5" }, delay.percentile(50) / 1e9);
      this.set({ quantile: "0.99" }, delay.percentile(99) / 1e9);
      this.set({ quantile: "1" }, delay.max / 1e9);
      delay.reset();
    },
  });
}
