// SPDX-License-Identifier: Apache-2.0
// Tasks and their changes from the store's form to the contract's.

import { create, fromBinary } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type OutcomeKind as OutcomeKindName, outcomeKinds, parseLane } from "@remex/domain";
import { OutcomeSchema, TaskSpecSchema } from "@remex/proto/common/v1";
import {
  type Attempt,
  AttemptSchema,
  AttemptStage,
  type Task,
  type TaskChange,
  TaskChangeSchema,
  TaskSchema,
  TaskState,
  type TriggerEventRecord,
  TriggerEventRecordSchema,
} from "@remex/proto/scheduler/v1";
import type { TaskChangeRow, TaskRow, TriggerEventRow } from "@remex/store";
import { withoutCredentials } from "./submission.ts";
import { attemptOfText, sessionOfText } from "./wire-refs.ts";

const states = {
  QUEUED: TaskState.QUEUED,
  ASSIGNED: TaskState.ASSIGNED,
  HELD: TaskState.HELD,
  SUCCEEDED: TaskState.SUCCEEDED,
  FAILED: TaskState.FAILED,
  CANCELED: TaskState.CANCELED,
} as const satisfies Record<TaskRow["state"], TaskState>;

const stages = {
  "": AttemptStage.UNSPECIFIED,
  OFFERED: AttemptStage.OFFERED,
  CONFIRMED: AttemptStage.CONFIRMED,
  STARTED: AttemptStage.STARTED,
  ENDED: AttemptStage.ENDED,
  DECLINED: AttemptStage.DECLINED,
  LOST: AttemptStage.LOST,
} as const satisfies Record<TaskRow["stage"], AttemptStage>;

export function stateNumber(state: TaskRow["state"]): TaskState {
  return states[state];
}

/** The store's word for a state of the contract; undefined for those that no task can have now. */
export function stateWord(state: TaskState): TaskRow["state"] | undefined {
  const found = Object.entries(states).find(([, number]) => number === state);
  return found?.[0] as TaskRow["state"] | undefined;
}

function outcomeNumber(kind: OutcomeKindName | ""): number {
  return kind === "" ? 0 : outcomeKinds.indexOf(kind);
}

export function taskOfRow(deployment: string, row: TaskRow, withWork: boolean): Task {
  const stored = withoutCredentials(fromBinary(TaskSpecSchema, row.spec));
  const spec = withWork ? stored : { ...stored, work: { case: undefined } };
  return create(TaskSchema, {
    deployment,
    task: row.id,
    idempotencyKey: row.key,
    spec,
    runtime: parseLane(row.lane).runtime,
    state: states[row.state],
    queuedAt: timestampFromMs(row.queuedAtMs),
    ...(row.endedAtMs === 0 ? {} : { endedAt: timestampFromMs(row.endedAtMs) }),
    ...(row.attempt === "" ? {} : { attempt: attemptOfRow(row) }),
    attempts: row.attempts,
    retries: row.retries,
    recoveries: row.recoveries,
    cancelWished: row.cancelWished,
    note: row.note,
    reason: row.reason,
    staleReports: row.staleReports,
    droppedCalls: row.droppedCalls,
    ...(row.wastedMs === 0 ? {} : { wastedRunTime: durationFromMs(row.wastedMs) }),
    ...(row.state === "HELD" && Number.isFinite(row.heldUntilMs)
      ? { heldUntil: timestampFromMs(row.heldUntilMs) }
      : {}),
  });
}

function attemptOfRow(row: TaskRow): Attempt {
  const over = row.state !== "ASSIGNED" && row.state !== "HELD";
  const endedAtMs = row.attemptEndedAtMs || row.endedAtMs;
  return create(AttemptSchema, {
    attempt: attemptOfText(row.attempt),
    stage: stages[row.stage],
    agent: row.agent,
    session: sessionOfText(row.session),
    ...(row.startedAtMs === 0 ? {} : { startedAt: timestampFromMs(row.startedAtMs) }),
    ...(over && endedAtMs !== 0 ? { endedAt: timestampFromMs(endedAtMs) } : {}),
    ...(row.outcome === undefined ? {} : { outcome: fromBinary(OutcomeSchema, row.outcome) }),
    reason: row.state === "HELD" ? row.heldReason : row.attemptReason,
  });
}

export function eventOfRow(row: TriggerEventRow): TriggerEventRecord {
  return create(TriggerEventRecordSchema, {
    position: BigInt(row.position),
    attempt: attemptOfText(row.attempt),
    number: BigInt(row.number),
    payload: row.payload,
    agent: row.agent,
    at: timestampFromMs(row.atMs),
  });
}

export function changeOfRow(row: TaskChangeRow): TaskChange {
  return create(TaskChangeSchema, {
    task: row.id,
    idempotencyKey: row.key,
    state: states[row.state],
    ...(row.attempt === "" ? {} : { attempt: attemptOfText(row.attempt) }),
    stage: stages[row.stage],
    agent: row.agent,
    outcome: outcomeNumber(row.outcome),
    reason: row.reason,
    message: row.message,
    ...(row.exitCode === undefined ? {} : { exitCode: row.exitCode }),
    at: timestampFromMs(row.atMs),
    triggerEvent: BigInt(row.triggerEvent),
  });
}
