// SPDX-License-Identifier: Apache-2.0
// How the agent takes itself out: drain, stop what runs, say goodbye (PROTOCOL O2).

import { DeclineReason } from "@remex/proto/agent/v1";
import type { AgentMachineEvent, ServerSays } from "./agent-state.ts";
import { handBackAll, stopHeld } from "./attempts.ts";
import { sayDraining } from "./connection.ts";
import { logLine, say, type Turn } from "./turn.ts";

/** How long the end of the stream is waited for after the goodbye. */
const goodbyeMs = 2_000;
/** How long reports may wait for an answer once nothing runs; the journal keeps them after that. */
const reportsMs = 20_000;

/** Hands un-started accepts back at once, takes nothing new, and leaves when nothing runs. */
export function drainSelf(turn: Turn, event: Extract<AgentMachineEvent, { kind: "drain" }>): void {
  const { state, nowMs } = turn;
  if (state.drain.kind !== "none") return;
  const { reason, deadlineMs } = event;
  state.drain = {
    kind: "draining",
    reason,
    deadlineAtMs: deadlineMs === undefined ? undefined : nowMs + deadlineMs,
    emptySinceMs: undefined,
  };
  logLine(turn, "info", "agent drains itself", { reason });
  handBackAll(turn, DeclineReason.DRAINING, "the agent is draining");
  sayDraining(turn);
  leaveIfEmpty(turn);
}

/** Stops what runs; the agent leaves once it has ended. */
export function stopWork(turn: Turn, reason: string): void {
  drainSelf(turn, { kind: "drain", reason, deadlineMs: undefined });
  stopAll(turn);
}

function stopAll(turn: Turn): void {
  for (const held of turn.state.held.values()) stopHeld(turn, held, "STOP_REASON_DRAINED");
}

/** A change of the agent's own state, from an operator. */
export function takeControl(turn: Turn, says: Extract<ServerSays, { kind: "control" }>): void {
  const { session } = turn.state;
  if (session === undefined) return;
  if (says.available !== undefined) {
    session.available = says.available;
    if (says.available) session.drainAtMs = undefined;
  }
  if (!says.draining) return;
  handBackAll(turn, DeclineReason.DRAINING, "the agent is drained");
  session.drainAtMs =
    says.drainDeadlineMs === undefined ? undefined : turn.nowMs + says.drainDeadlineMs;
}

/** Stops what still runs when a deadline has passed. */
export function watchDrain(turn: Turn): void {
  const { state, nowMs } = turn;
  const own = state.drain.kind === "draining" ? state.drain.deadlineAtMs : undefined;
  const operators = state.session?.drainAtMs;
  if (own !== undefined && nowMs >= own) stopAll(turn);
  if (operators !== undefined && nowMs >= operators) stopAll(turn);
  leaveIfEmpty(turn);
}

/** Says goodbye when nothing runs and every report is answered, or has waited long enough. */
export function leaveIfEmpty(turn: Turn): void {
  const { state, nowMs } = turn;
  const { drain } = state;
  if (drain.kind === "leaving") {
    if (nowMs >= drain.untilMs) leave(turn);
    return;
  }
  if (drain.kind === "none") return;
  const stages = [...state.held.values()].map((held) => held.stage.kind);
  if (stages.some((stage) => stage !== "ended")) return;
  if (stages.length > 0) {
    const since = drain.emptySinceMs ?? nowMs;
    if (drain.emptySinceMs === undefined) state.drain = { ...drain, emptySinceMs: nowMs };
    if (nowMs - since < reportsMs) return;
    logLine(turn, "warn", "agent leaves with unanswered results in its journal", {
      results: stages.length,
    });
  }
  if (state.connection.kind !== "online") {
    leave(turn);
    return;
  }
  say(turn, { case: "goodbye", value: { empty: true, reason: drain.reason.slice(0, 200) } });
  state.drain = { kind: "leaving", untilMs: nowMs + goodbyeMs };
}

/** The agent is out. */
export function leave(turn: Turn): void {
  const { state } = turn;
  if (state.connection.kind === "left") return;
  turn.out.push({ kind: "hangUp", dial: state.dial });
  state.connection = { kind: "left" };
  turn.out.push({ kind: "leave", reason: "drained" });
}
