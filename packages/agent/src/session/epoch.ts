// SPDX-License-Identifier: Apache-2.0
// What the agent does when the control plane's store was restored, replaced or wiped (PROTOCOL D2, S6).

import { drop, logLine, type Turn } from "./turn.ts";

/**
 * Learns of a newer epoch; true when the inventory is to be said in it. Accepts that were not started are
 * void: the store may have forgotten their confirmation, or may never get to know of it, so a start that
 * came after this inventory would be one that the store does not know of (I2). What runs goes on.
 */
export function learnEpoch(turn: Turn, epoch: number): boolean {
  const { state } = turn;
  if (epoch <= state.epoch) return false;
  const before = state.epoch;
  state.epoch = epoch;
  // The hello of an agent that had seen none was said before anything could be accepted.
  if (before === 0) return false;
  for (const held of [...state.held.values()]) {
    if (held.stage.kind === "accepted") drop(state, held);
  }
  logLine(turn, "warn", "the control plane's store begins a new epoch", { epoch, before });
  return true;
}
