// SPDX-License-Identifier: Apache-2.0
// What every part of the agent's machine works with: the state, the time, and the effects so far.

import { formatRef, type NumberedRef, refToWire } from "@remex/domain";
import type { AgentEffect, AgentSays, AgentState, Held } from "./agent-state.ts";

export interface Turn {
  readonly state: AgentState;
  readonly nowMs: number;
  readonly out: AgentEffect[];
}

/** Says something on the open stream; without one it is dropped, and said by inventory or resend. */
export function say(turn: Turn, says: AgentSays): void {
  if (turn.state.connection.kind === "online") turn.out.push({ kind: "send", says });
}

export function logLine(
  turn: Turn,
  level: "info" | "warn" | "error",
  message: string,
  fields: Readonly<Record<string, unknown>> = {},
): void {
  turn.out.push({ kind: "log", level, message, fields });
}

/** Key of an attempt in the agent's table. */
export function heldKey(task: string, attempt: NumberedRef): string {
  return `${task}/${formatRef(attempt)}`;
}

/** An attempt as the contract names it. */
export function wireName(name: { readonly task: string; readonly attempt: NumberedRef }): {
  task: string;
  attempt: { epoch: bigint; number: bigint };
} {
  return { task: name.task, attempt: refToWire(name.attempt) };
}

/** Puts an attempt into the table; slots are reserved for all but ended ones (S2). */
export function hold(state: AgentState, held: Held): void {
  state.held.set(held.key, held);
  if (held.stage.kind !== "ended") state.slotsUsed += held.facts.slotCost;
  state.inventoryVersion += 1;
}

/** Moves an attempt on; its slots fall free when it has ended. */
export function moveTo(state: AgentState, held: Held, stage: Held["stage"]): void {
  if (held.stage.kind !== "ended" && stage.kind === "ended") state.slotsUsed -= held.facts.slotCost;
  held.stage = stage;
  state.inventoryVersion += 1;
}

/** Takes an attempt out of the table. */
export function drop(state: AgentState, held: Held): void {
  if (!state.held.delete(held.key)) return;
  state.droppedCalls.delete(held.key);
  if (held.stage.kind !== "ended") state.slotsUsed -= held.facts.slotCost;
  state.inventoryVersion += 1;
}
