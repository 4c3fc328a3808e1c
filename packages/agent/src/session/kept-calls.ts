// SPDX-License-Identifier: Apache-2.0
// Calls of Airflow's API that were kept during a cut: sent after KEEP, before the result, or dropped (PROTOCOL E1).

import type { AttemptEventName } from "./agent-state.ts";
import { report } from "./attempts.ts";
import { sayInventory } from "./inventory.ts";
import { heldKey, type Turn } from "./turn.ts";

/** How long the word on kept calls is waited for before it is asked for again. */
const askEveryMs = 2_000;

/** A call of an attempt waits on disk. */
export function noteCallsKept(turn: Turn, { task, attempt }: AttemptEventName): void {
  const { state } = turn;
  const key = heldKey(task, attempt);
  if (state.keptCalls.has(key)) return;
  state.keptCalls.set(key, { task, attempt });
  state.inventoryVersion += 1;
}

/** Nothing waits any more: the result may be reported, and with it what was dropped. */
export function noteCallsSettled(turn: Turn, name: AttemptEventName, dropped: number): void {
  const { state } = turn;
  const key = heldKey(name.task, name.attempt);
  if (!state.keptCalls.delete(key)) return;
  state.inventoryVersion += 1;
  const held = state.held.get(key);
  if (held === undefined) return;
  if (dropped > 0) state.droppedCalls.set(key, dropped + (state.droppedCalls.get(key) ?? 0));
  report(turn, held);
}

/**
 * Asks for the word by an inventory, in which an attempt with kept calls counts as running. What the agent
 * does not hold any more has been answered for good.
 */
export function watchKeptCalls(turn: Turn): void {
  const { state, nowMs } = turn;
  if (state.keptCalls.size === 0 || state.connection.kind !== "online") return;
  if (nowMs - Math.max(state.callsAskedAtMs, state.connection.openedAtMs) < askEveryMs) return;
  state.callsAskedAtMs = nowMs;
  for (const [key, { task, attempt }] of state.keptCalls) {
    if (!state.held.has(key)) turn.out.push({ kind: "dropCalls", task, attempt });
  }
  sayInventory(turn);
}
