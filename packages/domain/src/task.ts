// SPDX-License-Identifier: Apache-2.0
// What a task and its attempts are (PROTOCOL section 3), as states that carry what belongs to them.

import type { AttemptRef, SessionRef } from "./numbered-ref.ts";
import type { OutcomeKind } from "./outcomes.ts";

/** What becomes of a task whose confirmed attempt was given up (H2). */
export type OnLost = "REQUEUE" | "FAIL";

/** What a submission fixed for the whole life of its task. */
export interface TaskPolicy {
  readonly onLost: OnLost;
  /** How often an attempt that FAILED by itself is tried again. */
  readonly maxRetries: number;
  /** How often the task is queued again after a lost attempt. */
  readonly maxRecoveries: number;
}

/** Recoveries of a task that states none. */
export const defaultMaxRecoveries = 3;

/** Who holds an attempt. */
interface Holder {
  readonly ref: AttemptRef;
  readonly agent: string;
  readonly session: SessionRef;
}

/** An attempt that is under way. OFFERED: not confirmed, so it can be taken back at no cost. */
export type LiveAttempt =
  | (Holder & { readonly stage: "OFFERED"; readonly deadlineMs: number })
  | (Holder & { readonly stage: "CONFIRMED"; readonly sequence: number })
  | (Holder & {
      readonly stage: "STARTED";
      readonly sequence: number;
      readonly startedAtMs: number;
    });

/** A result that was taken; it never changes (I4). */
export interface TakenResult {
  readonly ref: AttemptRef;
  readonly kind: OutcomeKind;
  /** Digest of the outcome as reported. */
  readonly digest: string;
}

/** The last attempt of a task that has none under way. */
export type EndedAttempt =
  | (Holder & { readonly stage: "ENDED"; readonly result: TakenResult })
  | (Holder & { readonly stage: "DECLINED" | "LOST"; readonly reason: string });

interface TaskFacts {
  readonly policy: TaskPolicy;
  /** Attempts so far, declined ones included. */
  readonly attempts: number;
  readonly retries: number;
  readonly recoveries: number;
  /** Results taken from earlier attempts, which a retry or a recovery followed. */
  readonly earlier: readonly TakenResult[];
}

/**
 * A task.
 *
 * - QUEUED: waits in its lane. Leaves by an offer (ASSIGNED) or a cancel (CANCELED).
 * - ASSIGNED: one attempt is under way. Leaves by a decline, an expired or withdrawn offer, a loss or
 *   an aborted or failed attempt (QUEUED again, FAILED or CANCELED) or by a result (terminal).
 * - SUCCEEDED, FAILED, CANCELED: terminal, nothing leads out.
 *
 * HELD (H1) belongs to rules that are not served yet and is no state here.
 */
export type Task =
  | (TaskFacts & { readonly state: "QUEUED"; readonly last: EndedAttempt | undefined })
  | (TaskFacts & {
      readonly state: "ASSIGNED";
      readonly attempt: LiveAttempt;
      readonly cancelWished: boolean;
    })
  | (TaskFacts & {
      readonly state: TerminalState;
      readonly last: EndedAttempt | undefined;
      readonly reason: string;
    });

export type TerminalState = "SUCCEEDED" | "FAILED" | "CANCELED";
export type TaskStateName = Task["state"];
export type AttemptStageName = LiveAttempt["stage"] | EndedAttempt["stage"];

/** Answers to a report (C2). */
export type ReportVerdictName =
  | "ACCEPTED"
  | "DUPLICATE"
  | "STALE"
  | "UNKNOWN_TASK"
  | "CONFLICT"
  | "RETRY";

/** A task as it is when it was submitted. */
export function newTask(policy: TaskPolicy): Task {
  return {
    state: "QUEUED",
    policy,
    attempts: 0,
    retries: 0,
    recoveries: 0,
    earlier: [],
    last: undefined,
  };
}

/** True when nothing leads out of the state. */
export function isTerminal(state: string): state is TerminalState {
  return state === "SUCCEEDED" || state === "FAILED" || state === "CANCELED";
}
