// SPDX-License-Identifier: Apache-2.0
// Events of triggers on their way to the control plane: sent under a lease until they are durable (G3, I11).

import { formatRef, leaseValid } from "@remex/domain";
import type { EmittedEvents, RunnerSays, ServerSays } from "./agent-state.ts";
import { stopHeld } from "./attempts.ts";
import { heldKey, logLine, say, type Turn, wireName } from "./turn.ts";

/** What the runner contract allows an attempt to have unanswered. */
const mostUnanswered = 16;
/** Events without an answer on a stream that stays are sent again; the store takes each once. */
const againMs = 1_000;

/** A trigger emitted something. */
export function noteEmitted(
  turn: Turn,
  event: Extract<RunnerSays, { kind: "attemptEmitted" }>,
): void {
  const { state, nowMs } = turn;
  const { task, attempt, number, payload } = event;
  const key = heldKey(task, attempt);
  const held = state.held.get(key);
  if (held?.stage.kind !== "started") return;
  const emitted = state.emitted.get(key) ?? { task, attempt, events: [], dueAtMs: nowMs };
  if (emitted.events.length >= mostUnanswered) {
    logLine(turn, "error", "trigger emits more than is answered and is stopped", fieldsOf(event));
    stopHeld(turn, held, "STOP_REASON_KILLED");
    return;
  }
  emitted.events.push({ number, payload });
  emitted.dueAtMs = nowMs;
  state.emitted.set(key, emitted);
  sendEvents(turn, false);
}

/**
 * Many triggers may have much to say when a stream opens: what one turn does not send is due at the next one,
 * so that the stream's queue never overflows and is cut, again and again.
 */
const mostBytesPerTurn = 1_048_576;

/** Sends the events that are due; all of them when `all` (a stream has just opened). */
export function sendEvents(turn: Turn, all: boolean): void {
  const { state, nowMs } = turn;
  if (state.emitted.size === 0) return;
  let bytes = 0;
  for (const [key, emitted] of state.emitted) {
    // An attempt that is over begins anew elsewhere, and its events with it.
    if (state.held.get(key)?.stage.kind !== "started") state.emitted.delete(key);
    else if ((all || nowMs >= emitted.dueAtMs) && bytes < mostBytesPerTurn) {
      bytes += sendOne(turn, emitted);
    }
  }
}

/** I11: nothing leaves without a valid lease. Gives the bytes that it sent. */
function sendOne(turn: Turn, emitted: EmittedEvents): number {
  const { state, nowMs } = turn;
  if (state.connection.kind !== "online" || state.session === undefined) return 0;
  if (!leaseValid(state.lease, nowMs)) return 0;
  emitted.dueAtMs = nowMs + againMs;
  const knownDurable = BigInt((emitted.events[0]?.number ?? 1) - 1);
  for (const { number, payload } of emitted.events) {
    const value = { ...wireName(emitted), number: BigInt(number), payload, knownDurable };
    say(turn, { case: "triggerEvent", value });
  }
  return emitted.events.reduce((sum, { payload }) => sum + payload.length, 0);
}

/** What is durable is dropped here and told to the runner; a refusal means that the attempt is not current (C5). */
export function takeEventAnswer(
  turn: Turn,
  answer: Extract<ServerSays, { kind: "eventAnswer" }>,
): void {
  const { state } = turn;
  const { task, attempt, durable, refusal } = answer;
  const key = heldKey(task, attempt);
  const emitted = state.emitted.get(key);
  if (emitted === undefined) return;
  const before = emitted.events.length;
  emitted.events = emitted.events.filter(({ number }) => number > durable);
  if (emitted.events.length < before) {
    turn.out.push({ kind: "eventsDurable", task, attempt, durable });
  }
  if (emitted.events.length === 0 || refusal !== undefined) state.emitted.delete(key);
  const held = state.held.get(key);
  if (refusal === undefined || held === undefined) return;
  logLine(turn, "warn", "event of a trigger was refused and the trigger is stopped", {
    ...fieldsOf(answer),
    reason: refusal,
  });
  stopHeld(turn, held, "STOP_REASON_KILLED");
}

function fieldsOf(name: Pick<EmittedEvents, "task" | "attempt">): Record<string, unknown> {
  return { task: name.task, attempt: formatRef(name.attempt) };
}
