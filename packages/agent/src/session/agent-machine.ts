// SPDX-License-Identifier: Apache-2.0
// The agent's machine: one step per event, effects as data. See agent-state.ts for its states.

import { sameRef } from "@remex/domain";
import type { AgentEffect, AgentMachineEvent, AgentState } from "./agent-state.ts";
import {
  expireAccepts,
  noteEnded,
  noteRefused,
  noteStarted,
  sendReports,
  takeCancel,
  takeConfirm,
  takeOffer,
  takeReportAnswer,
  takeWithdraw,
} from "./attempts.ts";
import {
  beatIfDue,
  dialNow,
  noteStreamEnded,
  takeBeatAck,
  takeGoAway,
  takeNewSettings,
  takeSessionEnded,
  takeSessionEnding,
  takeWelcome,
  watchConnection,
} from "./connection.ts";
import { noteEmitted, sendEvents, takeEventAnswer } from "./emitted-events.ts";
import { learnEpoch } from "./epoch.ts";
import { obeyVerdicts, sayInventory } from "./inventory.ts";
import { noteCallsKept, noteCallsSettled, watchKeptCalls } from "./kept-calls.ts";
import { drainSelf, leave, leaveIfEmpty, stopWork, takeControl, watchDrain } from "./leaving.ts";
import { endRemovalIfEmpty } from "./removal.ts";
import {
  noteRunnerHello,
  noteRunnerLost,
  noteRunnerReady,
  noteStateLocked,
} from "./runner-view.ts";
import type { Turn } from "./turn.ts";

/**
 * Takes one event. `step` owns the state that it is given and changes it in place: a copy per event
 * would cost more than the event, and nobody else reads it between two steps. It reads no clock, no
 * chance and no file, so the same events give the same effects.
 *
 * Invariants, each with a test:
 * - AGENT-1 (I1): `startWork` is given at most once per attempt.
 * - AGENT-2 (S4): and only for an un-started accept of the session, within W of its sending, under a
 *   valid lease, with the runner there.
 * - AGENT-3 (S1): an attempt not higher than the highest seen of its task is never accepted.
 * - AGENT-4 (I19): reserved slots never exceed the agent's.
 * - AGENT-5 (C1): an ended attempt is forgotten only after an answer that is for good.
 * - AGENT-6 (O2): goodbye is empty: nothing runs or can start when it is said.
 * - AGENT-7 (I11): a trigger's event leaves only under a valid lease.
 */
export function stepAgent(
  state: AgentState,
  event: AgentMachineEvent,
  nowMs: number,
): AgentEffect[] {
  const turn: Turn = { state, nowMs, out: [] };
  if (state.connection.kind === "left") return turn.out;
  take(turn, event);
  if (state.drain.kind !== "none") leaveIfEmpty(turn);
  if (state.removal !== undefined) endRemovalIfEmpty(turn);
  return turn.out;
}

function take(turn: Turn, event: AgentMachineEvent): void {
  switch (event.kind) {
    case "server":
      // What an older stream still says is passed over (I13).
      if (event.dial === turn.state.dial) hear(turn, event);
      return;
    case "dialTimer":
      dialNow(turn, event.dial);
      return;
    case "callsKept":
      noteCallsKept(turn, event);
      return;
    case "callsSettled":
      noteCallsSettled(turn, event, event.dropped);
      return;
    case "streamEnded":
      if (event.dial !== turn.state.dial) return;
      if (turn.state.drain.kind === "leaving") leave(turn);
      else noteStreamEnded(turn, event.end);
      return;
    case "turn":
      takeTurn(turn);
      return;
    case "drain":
      drainSelf(turn, event);
      return;
    case "stopWork":
      stopWork(turn, event.reason);
      return;
    case "runnerHello":
      noteRunnerHello(turn, event);
      return;
    case "stateLocked":
      noteStateLocked(turn);
      return;
    case "runnerReady":
      noteRunnerReady(turn, event.ready);
      beatIfDue(turn);
      return;
    case "runnerLost":
      noteRunnerLost(turn);
      beatIfDue(turn);
      return;
    case "attemptStarted":
      noteStarted(turn, event);
      return;
    case "attemptRefused":
      noteRefused(turn, event);
      return;
    case "attemptEmitted":
      noteEmitted(turn, event);
      return;
    case "attemptEnded":
      noteEnded(turn, event);
      return;
    default:
      event satisfies never;
  }
}

function hear(turn: Turn, event: Extract<AgentMachineEvent, { kind: "server" }>): void {
  const { says, session } = event;
  if (says.kind === "welcome") {
    takeWelcome(turn, says.welcome);
    return;
  }
  const known = turn.state.session?.ref;
  if (session !== undefined && known !== undefined && !sameRef(session, known)) return;
  if (turn.state.connection.kind !== "online" || turn.state.drain.kind === "leaving") {
    if (says.kind === "sessionEnded" && turn.state.drain.kind === "leaving") leave(turn);
    return;
  }
  switch (says.kind) {
    case "beatAck":
      takeBeatAck(turn, says);
      return;
    case "offer":
      takeOffer(turn, says);
      return;
    case "withdraw":
      takeWithdraw(turn, says);
      return;
    case "confirm":
      takeConfirm(turn, says);
      return;
    case "reportAnswer":
      takeReportAnswer(turn, says);
      return;
    case "cancel":
      takeCancel(turn, says);
      return;
    case "eventAnswer":
      takeEventAnswer(turn, says);
      return;
    case "inventoryAnswer":
      obeyVerdicts(turn, says);
      return;
    case "inventoryRequest":
      learnEpoch(turn, says.epoch);
      sayInventory(turn);
      return;
    case "settings":
      takeNewSettings(turn, says);
      return;
    case "control":
      takeControl(turn, says);
      return;
    case "sessionEnding":
      takeSessionEnding(turn, says);
      return;
    case "sessionEnded":
      takeSessionEnded(turn, says);
      return;
    case "goAway":
      takeGoAway(turn, says);
      return;
    default:
      says satisfies never;
  }
}

function takeTurn(turn: Turn): void {
  turn.state.turns += 1;
  turn.state.lastTurnAtMs = turn.nowMs;
  expireAccepts(turn);
  beatIfDue(turn);
  sendEvents(turn, false);
  sendReports(turn, false);
  watchConnection(turn);
  watchKeptCalls(turn);
  watchDrain(turn);
}
