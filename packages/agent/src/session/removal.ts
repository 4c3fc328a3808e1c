// SPDX-License-Identifier: Apache-2.0
// How a deleted agent goes: it stops what runs and says when nothing is left (PROTOCOL O3, L8).

import { DeclineReason } from "@remex/proto/agent/v1";
import { handBackAll, stopHeld } from "./attempts.ts";
import { logLine, say, type Turn } from "./turn.ts";

/** Why a session ends, or a hello is refused, when an operator deleted the agent. */
export const deletedReason = "deleted";
export const deletedCode = "agent_deleted";

/**
 * The session is ENDING since the agent was deleted. Its stream is kept until nothing runs: the goodbye
 * that is said then is the word on which its work goes to others before its lease's time is up.
 */
export function beginRemoval(turn: Turn): void {
  const { state } = turn;
  logLine(turn, "error", "agent was deleted by an operator: it stops what runs", {
    attempts: state.held.size,
  });
  handBackAll(turn, DeclineReason.NO_LEASE, "the agent was deleted");
  if (state.session !== undefined) state.session.available = false;
  state.removal = "stopping";
  killAll(turn);
}

/** What a deleted agent still runs was given up, or will be: others run it again. */
export function killAll(turn: Turn): void {
  for (const held of turn.state.held.values()) stopHeld(turn, held, "STOP_REASON_KILLED");
}

/** Says goodbye once nothing runs or can start; the results in the journal are nobody's any more. */
export function endRemovalIfEmpty(turn: Turn): void {
  const { state } = turn;
  if (state.removal !== "stopping" || state.connection.kind !== "online") return;
  for (const held of state.held.values()) if (held.stage.kind !== "ended") return;
  say(turn, { case: "goodbye", value: { empty: true, reason: deletedReason } });
  state.removal = "said";
}
