// SPDX-License-Identifier: Apache-2.0
// The states of the contract in the words that people read and type.

import {
  AgentHealth,
  AgentKind,
  AttemptStage,
  Availability,
  OnCut,
  OnLost,
  OutcomeKind,
  OutcomeReason,
  Role,
  TaskState,
} from "@remex/client";

export const kindWords: Readonly<Record<AgentKind, string>> = {
  [AgentKind.UNSPECIFIED]: "",
  [AgentKind.WORKER]: "worker",
  [AgentKind.TRIGGERER]: "triggerer",
  [AgentKind.DAG_PROCESSOR]: "dag-processor",
};

export const roleWords: Readonly<Record<Role, string>> = {
  [Role.UNSPECIFIED]: "",
  [Role.VIEWER]: "viewer",
  [Role.SUBMITTER]: "submitter",
  [Role.OPERATOR]: "operator",
  [Role.ADMIN]: "admin",
};

export const healthWords: Readonly<Record<AgentHealth, string>> = {
  [AgentHealth.UNSPECIFIED]: "unknown",
  [AgentHealth.REGISTERED]: "registered",
  [AgentHealth.HEALTHY]: "healthy",
  [AgentHealth.DEGRADED]: "degraded",
  [AgentHealth.SUSPECT]: "suspect",
  [AgentHealth.FAILED]: "failed",
  [AgentHealth.LEFT]: "left",
};

export const availabilityWords: Readonly<Record<Availability, string>> = {
  [Availability.UNSPECIFIED]: "unknown",
  [Availability.SCHEDULABLE]: "schedulable",
  [Availability.CORDONED]: "cordoned",
  [Availability.DRAINING]: "draining",
  [Availability.DELETED]: "deleted",
};

export const onCutWords: Readonly<Record<OnCut, string>> = {
  [OnCut.UNSPECIFIED]: "",
  [OnCut.CONTINUE]: "continue",
  [OnCut.ABORT]: "abort",
};

export const onLostWords: Readonly<Record<OnLost, string>> = {
  [OnLost.UNSPECIFIED]: "",
  [OnLost.REQUEUE]: "requeue",
  [OnLost.FAIL]: "fail",
};

export const taskStateWords: Readonly<Record<TaskState, string>> = {
  [TaskState.UNSPECIFIED]: "unknown",
  [TaskState.QUEUED]: "queued",
  [TaskState.ASSIGNED]: "assigned",
  [TaskState.HELD]: "held",
  [TaskState.SUCCEEDED]: "succeeded",
  [TaskState.FAILED]: "failed",
  [TaskState.CANCELED]: "canceled",
};

export const stageWords: Readonly<Record<AttemptStage, string>> = {
  [AttemptStage.UNSPECIFIED]: "",
  [AttemptStage.OFFERED]: "offered",
  [AttemptStage.CONFIRMED]: "starting",
  [AttemptStage.STARTED]: "running",
  [AttemptStage.ENDED]: "ended",
  [AttemptStage.DECLINED]: "declined",
  [AttemptStage.LOST]: "lost",
};

export const outcomeWords: Readonly<Record<OutcomeKind, string>> = {
  [OutcomeKind.UNSPECIFIED]: "",
  [OutcomeKind.SUCCEEDED]: "succeeded",
  [OutcomeKind.FAILED]: "failed",
  [OutcomeKind.CANCELED]: "canceled",
  [OutcomeKind.ABORTED]: "aborted",
  [OutcomeKind.DUPLICATE_START]: "runs elsewhere already",
};

/** Of an assigned task, how far its attempt came is what a person wants to know. */
export function progressWord(state: TaskState, stage: AttemptStage | undefined): string {
  if (state !== TaskState.ASSIGNED || stage === undefined)
    return taskStateWords[state] ?? "unknown";
  return stageWords[stage] || "assigned";
}

/** The reason as its stable word: "exit_code". */
export function reasonWord(reason: OutcomeReason): string {
  return reason === OutcomeReason.UNSPECIFIED ? "" : (OutcomeReason[reason] ?? "").toLowerCase();
}

/** The words that a table offers to be typed: all but the empty and unknown ones. */
export function wordsOf(table: Readonly<Record<number, string>>): string[] {
  return Object.entries(table).flatMap(([number, word]) => (number === "0" ? [] : [word]));
}

/** The value behind a typed word; the words are checked by the option parser before. */
export function valueOfWord<Value extends number>(
  table: Readonly<Record<Value, string>>,
  word: string,
): Value | undefined {
  const found = Object.entries<string>(table).find(([, each]) => each === word && each !== "");
  return found === undefined ? undefined : (Number(found[0]) as Value);
}
