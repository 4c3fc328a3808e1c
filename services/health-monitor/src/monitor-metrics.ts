// SPDX-License-Identifier: Apache-2.0
// What a health-monitor counts and times.
import type { Clock, Metrics } from "@remex/runtime";
import type { LeaseVerdict } from "@remex/store";

export interface MonitorMetrics {
  /** Times one call that renews leases, and counts its beats. */
  renewal<Reply>(beats: number, clock: Clock, renew: () => Promise<Reply>): Promise<Reply>;
  verdicts(verdicts: readonly LeaseVerdict[]): void;
}

export function createMonitorMetrics(metrics: Metrics): MonitorMetrics {
  const beatsTotal = metrics.counter("monitor_beats_total", "Beats that were given to the store.");
  const duration = metrics.histogram(
    "monitor_renewal_seconds",
    "Duration of calls that renew a batch of leases, failed ones included.",
  );
  const verdictsTotal = metrics.counter(
    "monitor_verdicts_total",
    "Changes of agents' health that this monitor found, by health and reason.",
    ["health", "reason"],
  );
  return {
    async renewal(beats, clock, renew) {
      beatsTotal.inc(beats);
      const startedMs = clock.nowMs();
      try {
        return await renew();
      } finally {
        duration.observe((clock.nowMs() - startedMs) / 1_000);
      }
    },
    verdicts(verdicts) {
      for (const { health, reason } of verdicts) verdictsTotal.inc({ health, reason });
    },
  };
}
