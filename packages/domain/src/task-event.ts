// SPDX-License-Identifier: Apache-2.0
// What can happen to a task, and what the one who asked is told.

import type { AttemptRef, SessionRef } from "./numbered-ref.ts";
import type { OutcomeKind } from "./outcomes.ts";
import type { ReportVerdictName } from "./task.ts";

/** What the store knows of a session when an accept is judged (S3). */
export interface SessionStanding {
  readonly session: SessionRef;
  readonly state: "OPEN" | "ENDING" | "ENDED";
  /** Time since its lease was renewed, by the store's clock. */
  readonly ageMs: number;
  /** The age at which the session is over (SL). */
  readonly limitMs: number;
  readonly schedulable: boolean;
  /** What its deployment or group says about a cut, for tasks that say nothing themselves. */
  readonly onCut?: "CONTINUE" | "ABORT";
}

/** Names one attempt as an agent speaks of it. */
export interface AttemptWord {
  readonly agent: string;
  readonly session: SessionRef;
  readonly attempt: AttemptRef;
}

/** What an inventory says of an attempt that the store holds for its agent; absent ones are named too. */
export type InventoryWord = "ACCEPTED" | "STARTED" | "ENDED" | "ABSENT";

export type TaskEvent =
  | (AttemptWord & { readonly kind: "offer"; readonly deadlineMs: number })
  | (AttemptWord & {
      readonly kind: "accept";
      readonly sequence: number;
      readonly standing: SessionStanding | undefined;
    })
  | (AttemptWord & { readonly kind: "started"; readonly nowMs: number })
  | (AttemptWord & { readonly kind: "decline"; readonly reason: string })
  | { readonly kind: "expireOffer"; readonly nowMs: number }
  | (AttemptWord & {
      readonly kind: "report";
      readonly outcome: OutcomeKind;
      readonly reason: string;
      readonly digest: string;
      readonly ending: boolean;
    })
  | (AttemptWord & {
      readonly kind: "inventory";
      readonly sequence: number;
      readonly word: InventoryWord;
      /** First session of the instance that says it: what it holds not says nothing of earlier ones. */
      readonly instanceFrom?: SessionRef;
    })
  | GiveUp
  | { readonly kind: "expireHold"; readonly nowMs: number }
  | { readonly kind: "cancel" };

/** A session has ended, and what it held is dealt with (H1, H2, L8). */
export interface GiveUp {
  readonly kind: "giveUp";
  readonly agent: string;
  readonly session: SessionRef;
  readonly reason: string;
  /**
   * `at_once`: an operator deleted the agent or said that it is gone; `idle`: its own word that nothing runs or can start, so what never
   * started costs nothing; `by_policy`: it cannot be known what runs, so `lost_after` decides.
   */
  readonly how: "at_once" | "idle" | "by_policy";
  /** When the session ended: `lost_after` counts from then. */
  readonly endedAtMs: number;
  readonly nowMs: number;
  /** What group or deployment say, for tasks that say nothing themselves. */
  readonly lostAfterMs: number;
}

/** What the one who asked is told. */
export type TaskAnswer =
  | { readonly kind: "none" }
  | { readonly kind: "confirm" }
  | { readonly kind: "withdraw"; readonly reason: string }
  | {
      readonly kind: "verdict";
      readonly verdict: ReportVerdictName;
      readonly supersededBy: AttemptRef | undefined;
    }
  | { readonly kind: "inventory"; readonly verdict: "KEEP" | "KILL" | "REPORT" }
  | { readonly kind: "cancel"; readonly attempt: AttemptRef };
