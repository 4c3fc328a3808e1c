// SPDX-License-Identifier: Apache-2.0
// How a task looks in a table, in full, and in a line of progress.

import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Outcome, type Task, type TaskChange, TaskState } from "@remex/client";
import { durationText } from "./duration-text.ts";
import { ageOf, durationOf, lostAfterOf, momentOf, spanOf } from "./instants.ts";
import type { Column } from "./table.ts";
import {
  onCutWords,
  onLostWords,
  outcomeWords,
  progressWord,
  reasonWord,
  stageWords,
} from "./words.ts";

export function taskColumns(nowMs: number): Column<Task>[] {
  return [
    { heading: "TASK", cell: (each) => each.task },
    { heading: "QUEUE", cell: (each) => each.spec?.queue || "default" },
    { heading: "STATE", cell: stateText },
    { heading: "AGENT", cell: (each) => each.attempt?.agent ?? "" },
    { heading: "ATTEMPTS", cell: (each) => String(each.attempts) },
    { heading: "RUN TIME", cell: (each) => runTimeText(each, nowMs) },
    { heading: "AGE", cell: (each) => ageOf(each.queuedAt, nowMs) },
    { heading: "REASON", cell: reasonText },
  ];
}

/** "queued", "offered", "starting", "running", "succeeded"; with a wish to end it: "running, canceling". */
export function stateText(task: Task): string {
  const word = progressWord(task.state, task.attempt?.stage);
  const { state } = task;
  const wished = task.cancelWished && (state === TaskState.ASSIGNED || state === TaskState.HELD);
  return wished ? `${word}, canceling` : word;
}

/** By the runner's clock once it has ended, until then by the store's and ours. */
function runTimeText(task: Task, nowMs: number): string {
  const { attempt } = task;
  const measured = attempt?.outcome?.runTime;
  if (measured !== undefined) return durationText(durationMs(measured));
  return spanOf(attempt?.startedAt, attempt?.endedAt, nowMs);
}

/** Why it ended as it did, in a few words: "exit code 2", "SIGKILL", "agent_lost". */
export function reasonText(task: Task): string {
  const outcome = task.attempt?.outcome;
  if (task.state === TaskState.SUCCEEDED) return "";
  if (outcome === undefined) return task.reason || (task.attempt?.reason ?? "");
  return outcomeReasonText(outcome) || task.reason;
}

function outcomeReasonText(outcome: Outcome): string {
  if (outcome.signal !== "") return outcome.signal;
  if (outcome.exitCode !== undefined && outcome.exitCode !== 0) {
    return `exit code ${outcome.exitCode}`;
  }
  return reasonWord(outcome.reason);
}

export function taskFacts(task: Task, nowMs: number): [string, string | undefined][] {
  const { spec, attempt } = task;
  const outcome = attempt?.outcome;
  const work = spec?.work;
  const argv = work?.case === "command" ? work.value.argv : undefined;
  const number = attempt?.attempt;
  return [
    ["Task", task.task],
    ["Deployment", task.deployment],
    ["State", stateText(task)],
    ["Reason", reasonText(task)],
    ["Key", task.idempotencyKey],
    ["Queue", spec?.queue || "default"],
    ["Work", argv === undefined ? workText(task) : commandText(argv)],
    ["Working directory", work?.case === "command" ? work.value.cwd : undefined],
    ["Environment", work?.case === "command" ? pairs(work.value.env) : undefined],
    ["Required labels", pairs(spec?.requiredLabels)],
    ["Priority", spec?.priority ? String(spec.priority) : undefined],
    ["Slot cost", String(spec?.slotCost || 1)],
    ["Timeout", durationOf(spec?.timeout)],
    ["On lost", onLostWords[spec?.onLost ?? 0]],
    ["On cut", onCutWords[spec?.onCut ?? 0]],
    ["Lost after", lostAfterOf(spec?.lostAfter)],
    ["Held until", heldUntilText(task, nowMs)],
    ["Queued", momentOf(task.queuedAt, nowMs)],
    ["Ended", momentOf(task.endedAt, nowMs)],
    ["Attempts", String(task.attempts)],
    ["Retries", spec?.maxRetries ? `${task.retries} of ${spec.maxRetries}` : undefined],
    ["Recoveries", task.recoveries === 0 ? undefined : String(task.recoveries)],
    ["Note", task.note],
    ["Attempt", number === undefined ? undefined : `${number.epoch}.${number.number}`],
    ["  stage", attempt === undefined ? undefined : stageWords[attempt.stage]],
    ["  agent", attempt?.agent],
    ["  started", momentOf(attempt?.startedAt, nowMs)],
    ["  ended", momentOf(attempt?.endedAt, nowMs)],
    ["  run time", attempt === undefined ? undefined : runTimeText(task, nowMs)],
    ["  outcome", outcome === undefined ? undefined : outcomeWords[outcome.kind]],
    ["  exit code", outcome?.exitCode === undefined ? undefined : String(outcome.exitCode)],
    ["  signal", outcome?.signal],
    ["  message", outcome?.message],
    ["Stale reports", staleText(task)],
    [
      "Dropped calls",
      task.droppedCalls === 0 ? undefined : `${task.droppedCalls} kept during a cut, never sent`,
    ],
  ];
}

/** "2, 5m of run time wasted". */
function staleText({ staleReports, wastedRunTime }: Task): string | undefined {
  if (staleReports === 0) return undefined;
  const wasted = durationOf(wastedRunTime);
  return wasted === "" ? String(staleReports) : `${staleReports}, ${wasted} of run time wasted`;
}

function heldUntilText(task: Task, nowMs: number): string | undefined {
  if (task.state !== TaskState.HELD) return undefined;
  return momentOf(task.heldUntil, nowMs) ?? "an operator says that its agent is gone";
}

/** What is not a command, in a few words. */
function workText({ runtime, spec }: Task): string {
  const trigger = spec?.work.case === "trigger" ? spec.work.value.builtin?.trigger : undefined;
  switch (trigger?.case) {
    case "timer": {
      const { after, every, times } = trigger.value;
      const parts = [after && `after ${durationOf(after)}`, every && `every ${durationOf(every)}`];
      const often = times > 0 ? `${times} times` : undefined;
      return ["timer", ...parts, often].filter((part) => part !== undefined).join(" ");
    }
    case "http":
      return `http ${trigger.value.url}`;
    case "file":
      return `file ${trigger.value.path}`;
    default:
      return runtime;
  }
}

/** Words as a shell would take them, so that they can be tried by hand. */
export function commandText(argv: readonly string[]): string {
  const plain = /^[A-Za-z0-9_@%+=:,./-]+$/;
  return argv
    .map((word) => (plain.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .join(" ");
}

function pairs(map: Readonly<Record<string, string>> | undefined): string {
  return Object.entries(map ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(" ");
}

/** "t_...: running on a1", "t_...: failed (exit_code): exit code 3". */
export function changeText(change: TaskChange): string {
  const word = progressWord(change.state, change.stage);
  const { state, agent } = change;
  const there = state === TaskState.ASSIGNED || state === TaskState.HELD;
  const where = there && agent !== "" ? ` on ${agent}` : "";
  const code = change.exitCode;
  const ended = change.state === TaskState.FAILED || change.state === TaskState.CANCELED;
  const why = code !== undefined && code !== 0 ? `exit code ${code}` : change.reason;
  const reason =
    why !== "" && (ended || state === TaskState.QUEUED || state === TaskState.HELD)
      ? ` (${why})`
      : "";
  const message = ended && change.message !== "" ? `: ${change.message}` : "";
  return `${change.task}: ${word}${where}${reason}${message}`;
}

/** Whether a task that has an attempt has a log to read yet. */
export function hasStarted(task: Task): boolean {
  return task.attempt?.startedAt !== undefined && timestampMs(task.attempt.startedAt) > 0;
}
