// SPDX-License-Identifier: Apache-2.0
// What the turns of a deployment work with.

import type { Clock, Logger } from "@remex/runtime";
import type { ReportItem, TaskStore } from "@remex/store";
import type { RegistryLink } from "./outbox.ts";
import type { SchedulerMetrics } from "./scheduler-metrics.ts";

export interface DeploymentTurnsDeps {
  readonly deployment: string;
  readonly tasks: TaskStore;
  epoch(): string;
  /** The link of an attached agent. */
  linkOf(agent: string, session: string): RegistryLink | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: SchedulerMetrics;
  /** A report was answered STALE or CONFLICT (C2, C3). */
  onRefused(agent: string, report: ReportItem, verdict: "STALE" | "CONFLICT"): void;
  /** Task changes were written. */
  onChanged(): void;
  /** Whether the store answered. */
  onStore(answered: boolean, error?: unknown): void;
}
