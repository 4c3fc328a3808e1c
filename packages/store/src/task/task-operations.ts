// SPDX-License-Identifier: Apache-2.0
// Random operations on tasks: what agents, operators and time may do to the store, in any order.

import {
  type GiveUp,
  type InventoryWord,
  lostAfterNeverMs,
  type OutcomeKind,
  type TaskPolicy,
} from "@remex/domain";

export const policies: readonly TaskPolicy[] = [
  { onLost: "REQUEUE", maxRetries: 1, maxRecoveries: 1 },
  { onLost: "FAIL", maxRetries: 0, maxRecoveries: 3, lostAfterMs: 40_000 },
  { onLost: "REQUEUE", maxRetries: 0, maxRecoveries: 1, lostAfterMs: lostAfterNeverMs },
  { onLost: "REQUEUE", maxRetries: 0, maxRecoveries: 0, lostAfterMs: 40_000, onCut: "ABORT" },
];
export const words = ["zero", "one", "two", "three"] as const;
export const agentNames = ["a1", "a2"] as const;
export const slots = 2;

export type Operation =
  | { readonly kind: "claim"; readonly agent: string }
  /** The next step of a normal life. */
  | { readonly kind: "advance"; readonly agent: string; readonly task: number }
  | { readonly kind: "accept"; readonly agent: string; readonly task: number; readonly age: number }
  | { readonly kind: "start"; readonly agent: string; readonly task: number; readonly age: number }
  | {
      readonly kind: "decline";
      readonly agent: string;
      readonly task: number;
      readonly age: number;
    }
  | {
      readonly kind: "report";
      readonly agent: string;
      readonly task: number;
      readonly age: number;
      readonly outcome: OutcomeKind;
      readonly digest: string;
    }
  | { readonly kind: "cancel"; readonly task: number }
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "expire" }
  | { readonly kind: "cordon"; readonly agent: string; readonly on: boolean }
  | { readonly kind: "beat"; readonly agent: string }
  /** The session ends, and what it held is dealt with some time later. */
  | {
      readonly kind: "end";
      readonly agent: string;
      readonly how: GiveUp["how"];
      readonly lateMs: number;
    }
  | { readonly kind: "expireHolds" }
  | {
      readonly kind: "reopen";
      readonly agent: string;
      /** True when it is another process than before. */
      readonly fresh: boolean;
      readonly holds: readonly { readonly task: number; readonly word: InventoryWord }[];
    }
  | {
      readonly kind: "inventory";
      readonly agent: string;
      readonly sequence: number;
      readonly holds: readonly { readonly task: number; readonly word: InventoryWord }[];
    };
