// SPDX-License-Identifier: Apache-2.0
// Checks one submission and makes of it what the store takes; every bad input has its own refusal.

import { hash, randomUUID } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import {
  builtinTriggers,
  defaultMaxRecoveries,
  defaultQueue,
  type Failure,
  failureOf,
  laneText,
  lostAfterProblem,
  maxRequiredLabels,
  type Parsed,
  parseIdempotencyKey,
  parseLabels,
  parseQueueName,
  taskIdOfDigest,
  taskIdText,
  triggerRuntime,
} from "@remex/domain";
import { OnCut, OnLost, type TaskSpec, TaskSpecSchema } from "@remex/proto/common/v1";
import type { TaskSubmission } from "@remex/proto/scheduler/v1";
import type { SubmitItem } from "@remex/store";
import { triggerInOrder, triggerProblem, triggerWithoutSecrets } from "./trigger-submission.ts";

const servedWork: ReadonlySet<string> = new Set(["command", "noop", "airflow", "trigger"]);
const maxAnnotations = 16;
const longestAnnotationKey = 63;
const longestAnnotation = 256;
const mostAttempts = 1_000;
/** A trigger outlives many agents, and being taken over costs nobody anything (G3). */
const triggerRecoveries = mostAttempts;

/** Checks what can be checked without the store. */
export function readSubmission(deployment: string, submission: TaskSubmission): Parsed<SubmitItem> {
  const { spec } = submission;
  if (spec === undefined) return refuse(invalid("spec", "it is missing"));
  const key = parseIdempotencyKey(submission.idempotencyKey || randomUUID());
  if (!key.ok) return key;
  const problem =
    workProblem(spec) ?? labelsProblem(spec) ?? textProblem(spec) ?? limitProblem(spec);
  if (problem !== undefined) return refuse(problem);
  const queue = parseQueueName(spec.queue || defaultQueue);
  if (!queue.ok) return queue;
  return { ok: true, value: itemOf(deployment, key.value, queue.value, spec) };
}

function itemOf(deployment: string, key: string, queue: string, spec: TaskSpec): SubmitItem {
  const offered = toBinary(TaskSpecSchema, inOrder(spec, queue));
  const bare = withoutCredentials(spec);
  const digested = bare === spec ? offered : toBinary(TaskSpecSchema, inOrder(bare, queue));
  return {
    id: taskIdOf(deployment, key),
    key,
    digest: hash("sha256", digested, "buffer"),
    spec: offered,
    payloadBytes: digested.length,
    credentials: bare !== spec,
    lane: laneText({ queue, runtime: runtimeOf(spec), requiredLabels: spec.requiredLabels }),
    queue,
    priority: spec.priority,
    slotCost: spec.slotCost || 1,
    onLost: spec.onLost === OnLost.FAIL ? "FAIL" : "REQUEUE",
    maxRetries: spec.maxRetries,
    maxRecoveries: spec.maxRecoveries ?? recoveriesOf(spec),
    onCut: spec.work.case === "trigger" ? "ABORT" : onCutWords[spec.onCut],
    lostAfterMs: spec.lostAfter === undefined ? undefined : durationMs(spec.lostAfter),
  };
}

const onCutWords: Readonly<Record<OnCut, SubmitItem["onCut"]>> = {
  [OnCut.UNSPECIFIED]: undefined,
  [OnCut.CONTINUE]: "CONTINUE",
  [OnCut.ABORT]: "ABORT",
};

/** What the task needs of a runner; with it triggers reach triggerers alone (R1). */
function runtimeOf({ work }: TaskSpec): string {
  if (work.case !== "trigger") return work.case ?? "";
  return triggerRuntime(work.value.runtime || builtinTriggers);
}

function recoveriesOf({ work }: TaskSpec): number {
  return work.case === "trigger" ? triggerRecoveries : defaultMaxRecoveries;
}

/** A task's id is a pure function of deployment and key (S6). */
export function taskIdOf(deployment: string, key: string): string {
  return taskIdOfDigest(hash("sha256", taskIdText(deployment, key), "buffer"));
}

// The same submission must give the same bytes whatever order its maps were filled in.
function inOrder(spec: TaskSpec, queue: string): TaskSpec {
  const { requiredLabels, annotations, work } = spec;
  const ordered = { ...spec, queue, slotCost: spec.slotCost || 1 };
  if (!isEmpty(requiredLabels)) ordered.requiredLabels = sorted(requiredLabels);
  if (!isEmpty(annotations)) ordered.annotations = sorted(annotations);
  if (work.case === "command" && !isEmpty(work.value.env)) {
    const value = { ...work.value, env: sorted(work.value.env) };
    ordered.work = { case: "command", value };
  }
  if (work.case === "trigger") {
    // C5: a trigger is one task under ABORT, whatever its deployment says for others.
    ordered.onCut = OnCut.ABORT;
    ordered.work = { case: "trigger", value: triggerInOrder(work.value) };
  }
  return ordered;
}

function isEmpty(map: Readonly<Record<string, string>>): boolean {
  for (const _ in map) return false;
  return true;
}

function sorted(map: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The same spec when it holds none. */
export function withoutCredentials(spec: TaskSpec): TaskSpec {
  const { work } = spec;
  if (work.case === "airflow" && work.value.workloadToken !== "") {
    return { ...spec, work: { case: "airflow", value: { ...work.value, workloadToken: "" } } };
  }
  if (work.case === "trigger" && work.value.secretPayload.length > 0) {
    return { ...spec, work: { case: "trigger", value: triggerWithoutSecrets(work.value) } };
  }
  return spec;
}

function workProblem(spec: TaskSpec): Failure | undefined {
  const { work } = spec;
  if (!servedWork.has(work.case ?? "")) {
    return failureOf("runtime_unknown", { runtime: work.case ?? "(none)" });
  }
  if (work.case === "trigger") return triggerProblem(spec, work.value);
  if (work.case === "command" && !work.value.argv[0]) return failureOf("command_empty");
  if (work.case === "airflow" && work.value.workloadJson === "") {
    return invalid("spec.airflow.workload_json", "it is empty");
  }
  return undefined;
}

function labelsProblem(spec: TaskSpec): Failure | undefined {
  const labels = parseLabels(spec.requiredLabels, maxRequiredLabels);
  return labels.ok ? undefined : labels.failure;
}

function textProblem({ annotations }: TaskSpec): Failure | undefined {
  const entries = Object.entries(annotations);
  if (entries.length > maxAnnotations) {
    return invalid("spec.annotations", `${entries.length} entries, at most ${maxAnnotations}`);
  }
  for (const [key, value] of entries) {
    if (key === "" || Buffer.byteLength(key) > longestAnnotationKey) {
      return invalid("spec.annotations", `a key must have 1 to ${longestAnnotationKey} bytes`);
    }
    if (Buffer.byteLength(value) > longestAnnotation) {
      return invalid("spec.annotations", `a value must have at most ${longestAnnotation} bytes`);
    }
  }
  return undefined;
}

function limitProblem(spec: TaskSpec): Failure | undefined {
  if (spec.maxRetries > mostAttempts) {
    return invalid("spec.max_retries", `at most ${mostAttempts} are allowed`);
  }
  if ((spec.maxRecoveries ?? 0) > mostAttempts) {
    return invalid("spec.max_recoveries", `at most ${mostAttempts} are allowed`);
  }
  if (spec.timeout !== undefined && durationMs(spec.timeout) <= 0) {
    return invalid("spec.timeout", "it must be more than 0");
  }
  const problem = spec.lostAfter && lostAfterProblem(durationMs(spec.lostAfter));
  return problem === undefined ? undefined : invalid("spec.lost_after", problem);
}

function invalid(field: string, problem: string): Failure {
  return failureOf("argument_invalid", { field, problem });
}

function refuse(failure: Failure): Parsed<SubmitItem> {
  return { ok: false, failure };
}
