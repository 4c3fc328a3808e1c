// SPDX-License-Identifier: Apache-2.0
// What a registry counts.
import type { Metrics } from "@remex/runtime";
import type { ForeignFrame } from "./session/agent-stream.ts";

export interface RegistryMetrics {
  /** A frame of another session or an older generation was passed over. */
  foreignFrame(kind: ForeignFrame): void;
  helloRefused(code: string): void;
  /** Number of sessions whose stream ends here. */
  sessions(count: number): void;
}

export function createRegistryMetrics(metrics: Metrics): RegistryMetrics {
  const foreign = metrics.counter(
    "registry_foreign_frames_total",
    "Frames of agents that named another session or another stream, passed over.",
    ["names"],
  );
  const refused = metrics.counter(
    "registry_hellos_refused_total",
    "Hellos that were refused, by the code of the refusal.",
    ["code"],
  );
  const sessions = metrics.gauge(
    "registry_sessions",
    "Sessions whose stream ends at this registry.",
  );
  return {
    foreignFrame: (kind) => foreign.inc({ names: kind }),
    helloRefused: (code) => refused.inc({ code }),
    sessions: (count) => sessions.set(count),
  };
}
