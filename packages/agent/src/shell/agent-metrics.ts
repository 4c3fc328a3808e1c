// SPDX-License-Identifier: Apache-2.0
// What the agent counts, for Prometheus.

import type { Metrics } from "@remex/runtime";
import type { AgentState } from "../session/agent-state.ts";

export interface AgentMetrics {
  readonly dials: { inc(): void };
  /** Takes the gauges from the machine's state. */
  note(state: AgentState): void;
}

export function createAgentMetrics(metrics: Metrics): AgentMetrics {
  const slots = metrics.gauge("agent_slots", "Slots that the agent has.");
  const used = metrics.gauge("agent_slots_used", "Slots reserved by accepts and running attempts.");
  const held = metrics.gauge("agent_attempts", "Attempts held, ended ones without an answer too.");
  const connected = metrics.gauge("agent_connected", "1 while the session stream is open.");
  const runner = metrics.gauge("agent_runner_ready", "1 while the runner takes work.");
  const dials = metrics.counter("agent_dials_total", "Dials of the control plane.");
  return {
    dials,
    note(state) {
      slots.set(state.identity.slots);
      used.set(state.slotsUsed);
      held.set(state.held.size);
      connected.set(state.connection.kind === "online" ? 1 : 0);
      runner.set(state.runner.kind === "ready" ? 1 : 0);
    },
  };
}
