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
  /** How long its work is held after its agent FAILED (H1); undefined: what group or deployment say. */
  readonly lostAfterMs?: number | undefined;
  /** What a cut-off agent does with it; undefined: what group or deployment say. */
  readonly onCut?: "CONTINUE" | "ABORT" | undefined;
}

/** `lost_after` that never runs out: work is held until an operator says that the agent is gone. */
export const lostAfterNeverMs = 315_576_000_000_000;

/** Longest `lost_after` beside never. */
export const longestLostAfterMs = 30 * 24 * 3_600_000;

/** Recoveries of a task that states none. */
export const defaultMaxRecoveries = 3;

/** Who holds an attempt. */
interface Holder {
  readonly ref: AttemptRef;
  readonly agent: string;
  readonly session: SessionRef;
}

/** An attempt that its agent may have started. `aborts`: the guard stops it when the lease ends (ABORT). */
interface ConfirmedHolder extends Holder {
  readonly sequence: number;
  readonly aborts: boolean;
}

/** An attempt that is under way. OFFERED: not confirmed, so it can be taken back at no cost. */
export type LiveAttempt =
  | (Holder & { readonly stage: "OFFERED"; readonly deadlineMs: number })
  | ConfirmedAttempt;

/** An attempt whose work runs or may run. */
export type ConfirmedAttempt =
  | (ConfirmedHolder & { readonly stage: "CONFIRMED" })
  | (ConfirmedHolder & { readonly stage: "STARTED"; readonly startedAtMs: number });

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
 *   an aborted or failed attempt (QUEUED again, FAILED or CANCELED), by a result (terminal), or by the
 *   end of its agent's session while `lost_after` runs (HELD).
 * - HELD (H1): its agent is lost, and its work may still run there. Leaves when the agent comes back with
 *   it (ASSIGNED), by its result (terminal), or when it is given up because `lost_after` has passed or an
 *   operator said that the agent is gone (QUEUED again, FAILED or CANCELED).
 * - SUCCEEDED, FAILED, CANCELED: terminal, nothing leads out.
 */
export type Task =
  | (TaskFacts & { readonly state: "QUEUED"; readonly last: EndedAttempt | undefined })
  | (TaskFacts & {
      readonly state: "ASSIGNED";
      readonly attempt: LiveAttempt;
      readonly cancelWished: boolean;
    })
  | (TaskFacts & {
      readonly state: "HELD";
      readonly attempt: ConfirmedAttempt;
      readonly cancelWished: boolean;
      /** When it is given up. */
      readonly dueMs: number;
      /** Why its session ended. */
      readonly reason: string;
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
