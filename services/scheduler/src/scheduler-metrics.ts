// SPDX-License-Identifier: Apache-2.0
// What the scheduler measures, as an interface: whoever builds the process decides where it is shown.

import type { TaskStateName } from "@remex/domain";

/** Kinds of batched store calls. */
export type StoreCallKind =
  | "submit"
  | "reconcile"
  | "settle"
  | "event"
  | "decline"
  | "withdraw"
  | "confirm"
  | "progress"
  | "claim";

export interface SchedulerMetrics {
  /** A batched call was answered. */
  call(kind: StoreCallKind, items: number, durationMs: number): void;
  /** How many tasks of a deployment stand in each state, and how many wait in each queue. */
  tasks(
    deployment: string,
    states: ReadonlyMap<TaskStateName, number>,
    queues: ReadonlyMap<string, number>,
  ): void;
  /** A report was refused because its attempt is not current, or contradicts one that was taken (C2, C3). */
  refused(verdict: "STALE" | "CONFLICT", ranMs: number): void;
  /** Agents attached to this scheduler. */
  attached(agents: number): void;
}

/** Measures nothing. */
export const noMetrics: SchedulerMetrics = {
  call: () => undefined,
  tasks: () => undefined,
  refused: () => undefined,
  attached: () => undefined,
};
