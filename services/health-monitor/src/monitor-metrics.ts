// SPDX-License-Identifier: Apache-2.0
// What a health-monitor counts and times.
import type { Clock, Metrics } from "@remex/runtime";
import type { BeatAnswer, LeaseVerdict } from "@remex/store";

export interface MonitorMetrics {
  /** Times one call that renews leases, and counts its beats. */
  renewal<Reply>(beats: number, clock: Clock, renew: () => Promise<Reply>): Promise<Reply>;
  verdicts(verdicts: readonly LeaseVerdict[]): void;
  /** A beat that renewed nothing. */
  idleBeat(reason: IdleBeat): void;
  /** Agents that the brake holds back. */
  suspects(deployment: string, suspects: number): void;
  clockJump(): void;
}

/** Why a beat renewed nothing. */
export type IdleBeat =
  | "malformed"
  | "out_of_order"
  | "old_stream"
  | "session_unknown"
  | "session_ended"
  | "session_ending";

/** Why a beat with this answer renewed nothing; undefined when it did renew. Pure. */
export function idleBeatOf(sequence: number, answer: BeatAnswer): IdleBeat | undefined {
  switch (answer.kind) {
    case "taken":
      return answer.sequence > sequence ? "out_of_order" : undefined;
    case "ending":
      return "session_ending";
    case "ended":
      return answer.reason === "session_unknown" ? "session_unknown" : "session_ended";
    case "old_stream":
      return "old_stream";
  }
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
  const idle = metrics.counter(
    "monitor_idle_beats_total",
    "Beats that renewed nothing, by reason.",
    ["reason"],
  );
  const held = metrics.gauge(
    "monitor_brake_suspects",
    "Agents that the brake holds back as SUSPECT, by deployment; above 0 it is engaged.",
    ["deployment"],
  );
  const jumps = metrics.counter(
    "monitor_store_clock_jumps_total",
    "Jumps of the clock of Redis against the clock of this monitor.",
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
    idleBeat: (reason) => idle.inc({ reason }),
    suspects: (deployment, suspects) => held.set({ deployment }, suspects),
    clockJump: () => jumps.inc(),
  };
}
