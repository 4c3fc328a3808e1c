// SPDX-License-Identifier: Apache-2.0
// What operators decided about an agent: whether it may get work, is emptied, or was removed (O1-O3).

import type { OnCutSetting } from "./deployment-settings.ts";
import { type Failure, failureOf } from "./remex-error.ts";
import type { Availability } from "./session-offers.ts";

/** How long the name of a deleted agent stays refused, unless it is restored (O3). */
export const nameHeldMs = 24 * 3_600_000;

/**
 * The operators' word on one agent name; instants are by the store's clock.
 * - `schedulable`: nothing was said, or it was taken back. Out: cordon, drain, delete.
 * - `cordoned`: no new work, what it has goes on. Out: uncordon, drain, delete.
 * - `draining`: no new work, what still runs at the deadline is stopped. Out: uncordon, delete.
 * - `deleted`: the name is refused until `nameFreeAtMs`; after that it is as if nothing was said.
 *   Out: restore, time.
 */
export type AgentControl =
  | { readonly kind: "schedulable" }
  | { readonly kind: "cordoned"; readonly note: string }
  | {
      readonly kind: "draining";
      readonly note: string;
      /** Absent: it may take as long as it takes. */
      readonly deadlineAtMs?: number;
    }
  | { readonly kind: "deleted"; readonly note: string; readonly nameFreeAtMs: number };

/** What an operator asks for. */
export type ControlEvent =
  | { readonly kind: "cordon"; readonly note: string }
  | { readonly kind: "uncordon" }
  | { readonly kind: "drain"; readonly note: string; readonly deadlineAtMs?: number }
  | { readonly kind: "delete"; readonly note: string }
  | { readonly kind: "restore" };

/** True while the name may not come back. */
export function isNameHeld(control: AgentControl, nowMs: number): boolean {
  return control.kind === "deleted" && nowMs < control.nameFreeAtMs;
}

/** The control after an event, or why it cannot be. The same event twice is the same as once. */
export function stepControl(
  control: AgentControl,
  event: ControlEvent,
  nowMs: number,
): AgentControl | "deleted" {
  if (event.kind === "restore") {
    return control.kind === "deleted" ? { kind: "schedulable" } : control;
  }
  if (isNameHeld(control, nowMs)) return event.kind === "delete" ? control : "deleted";
  switch (event.kind) {
    case "cordon":
      // A drain is a cordon and more: it stays one.
      return control.kind === "draining" ? control : { kind: "cordoned", note: event.note };
    case "uncordon":
      return { kind: "schedulable" };
    case "drain": {
      const { note, deadlineAtMs } = event;
      return { kind: "draining", note, ...(deadlineAtMs === undefined ? {} : { deadlineAtMs }) };
    }
    case "delete":
      return { kind: "deleted", note: event.note, nameFreeAtMs: nowMs + nameHeldMs };
  }
}

/**
 * What operators decided about a group of agents. Its policies (section 6) hold over the deployment's, and
 * a task's over both; what is absent is the deployment's.
 */
export interface GroupControl {
  readonly cordoned: boolean;
  readonly note: string;
  readonly onCut?: OnCutSetting;
  /** `lostAfterNeverMs` stands for never. */
  readonly lostAfterMs?: number;
}

/** Nothing was said about the group. */
export const freeGroup: GroupControl = { cordoned: false, note: "" };

/** Where an agent stands when it is to be deleted or called gone. */
export interface AgentStanding {
  readonly agent: string;
  readonly deployment: string;
  /** True while its session is OPEN or ENDING: it was heard, or may be heard, within the limit. */
  readonly living: boolean;
  /** Age of its last acknowledged beat. */
  readonly ageMs: number;
  /** Time until its session is over if it stays silent. */
  readonly goneInMs: number;
  /** Attempts that the store holds for it. */
  readonly tasks: number;
}

/**
 * Whether an agent may be deleted (O3): not while work runs on it, unless that is to be killed; and not
 * while work is held for it in its absence, unless the operator says that it is gone.
 */
export function decideDelete(
  standing: AgentStanding,
  asked: { readonly force: boolean; readonly gone: boolean },
): Failure | undefined {
  const { agent, deployment, tasks, living } = standing;
  if (tasks === 0) return undefined;
  if (living)
    return asked.force ? undefined : failureOf("agent_busy", { agent, deployment, tasks });
  return asked.gone ? undefined : failureOf("agent_work_held", { agent, deployment, tasks });
}

/** Whether an operator's word that an agent is gone can be taken: not while it may be heard (L8). */
export function decideGone(standing: AgentStanding): Failure | undefined {
  const { agent, deployment, living } = standing;
  if (!living) return undefined;
  return failureOf("agent_not_gone", {
    agent,
    deployment,
    ageSeconds: Math.round(standing.ageMs / 1_000),
    goneInSeconds: Math.ceil(standing.goneInMs / 1_000),
  });
}

/** The availability that a control comes to, with its group's; the store says the same in its own words. */
export function availabilityOf(
  control: AgentControl,
  group: GroupControl,
  nowMs: number,
): Availability {
  if (isNameHeld(control, nowMs)) return "DELETED";
  if (control.kind === "draining") return "DRAINING";
  return control.kind === "cordoned" || group.cordoned ? "CORDONED" : "SCHEDULABLE";
}
