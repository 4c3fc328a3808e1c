// SPDX-License-Identifier: Apache-2.0
// What a registry counts.
import type { Metrics } from "@remex/runtime";

export interface RegistryMetrics {
  /** A frame of another session or an older generation was passed over. */
  foreignFrame(): void;
  /** Number of sessions whose stream ends here. */
  sessions(count: number): void;
}

export function createRegistryMetrics(metrics: Metrics): RegistryMetrics {
  const foreign = metrics.counter(
    "registry_foreign_frames_total",
    "Frames of agents that named another session or an older stream, passed over.",
  );
  const sessions = metrics.gauge(
    "registry_sessions",
    "Sessions whose stream ends at this registry.",
  );
  return { foreignFrame: () => foreign.inc(), sessions: (count) => sessions.set(count) };
}
