// SPDX-License-Identifier: Apache-2.0
// What becomes of the agent's attempts when its runner comes, goes, and comes back (PROTOCOL G4).

import { create } from "@bufbuild/protobuf";
import { formatRef } from "@remex/domain";
import { DeclineReason } from "@remex/proto/agent/v1";
import { OutcomeKind, OutcomeReason, OutcomeSchema } from "@remex/proto/common/v1";
import type { Held, JournalledAttempt, RunnerSays } from "./agent-state.ts";
import { endedStage, handBack, handBackAll, report } from "./attempts.ts";
import { renewRunner, waitToDial } from "./connection.ts";
import { heldKey, hold, logLine, moveTo, type Turn } from "./turn.ts";

/** A runner has said hello: its journal tells what became of everything that was started. */
export function noteRunnerHello(
  turn: Turn,
  event: Extract<RunnerSays, { kind: "runnerHello" }>,
): void {
  const { state } = turn;
  state.runner = { kind: "starting", runtimes: event.runtimes };
  const journal = new Map(
    event.journal.map((entry) => [heldKey(entry.task, entry.attempt), entry]),
  );
  for (const held of [...state.held.values()]) {
    if (held.stage.kind === "started" && !journal.has(held.key)) settleLost(turn, held);
  }
  for (const [key, entry] of journal) {
    // A restarted agent has seen what its journal was written in (D2).
    state.epoch = Math.max(state.epoch, entry.attempt.epoch);
    takeJournalled(turn, key, entry);
  }
  renewRunner(turn);
  const wasUnguarded = state.unguarded;
  state.unguarded = false;
  if (state.connection.kind === "idle" || (wasUnguarded && state.connection.kind === "waiting")) {
    state.tries = 0;
    waitToDial(turn, 0);
  }
}

/**
 * T6: somebody else holds the state directory, and longer than ended work needs. The agent says hello all
 * the same, so that operators see the conflict; it gets no session until its runner has the lock.
 */
export function noteStateLocked(turn: Turn): void {
  const { state } = turn;
  if (state.connection.kind !== "idle") return;
  state.unguarded = true;
  waitToDial(turn, 0);
}

function takeJournalled(turn: Turn, key: string, entry: JournalledAttempt): void {
  const { state, nowMs } = turn;
  const { task, attempt, facts, outcome } = entry;
  const stage: Held["stage"] =
    outcome === undefined
      ? { kind: "started", told: true, stopping: false }
      : endedStage(outcome, nowMs);
  const known = state.held.get(key);
  if (known === undefined) {
    const held: Held = { key, task, attempt, facts, stage };
    hold(state, held);
    report(turn, held);
    return;
  }
  if (known.stage.kind !== "started" || stage.kind !== "ended") return;
  turn.out.push({ kind: "attemptOver", task, attempt });
  moveTo(state, known, stage);
  report(turn, known);
}

/** The journal does not know it: one that the old runner had spoken of is lost, another never began. */
function settleLost(turn: Turn, held: Held): void {
  if (held.stage.kind !== "started") return;
  const { task, attempt } = held;
  turn.out.push({ kind: "attemptOver", task, attempt });
  if (!held.stage.told) {
    handBack(turn, held, DeclineReason.RUNNER_LOST, "the runner ended before it took the work");
    return;
  }
  const outcome = create(OutcomeSchema, {
    kind: OutcomeKind.ABORTED,
    reason: OutcomeReason.RUNNER_LOST,
    message: "the runner that ran it is gone, and its journal with it",
  });
  moveTo(turn.state, held, endedStage(outcome, turn.nowMs));
  report(turn, held);
}

/** The runner can take work, or again cannot. */
export function noteRunnerReady(turn: Turn, ready: boolean): void {
  const { runner } = turn.state;
  if (runner.kind === "lost") return;
  turn.state.runner = { kind: ready ? "ready" : "starting", runtimes: runner.runtimes };
  tellNow(turn);
}

/**
 * G4: the runner is gone. Nothing is started; what it ran is being ended by it or by the next one, whose
 * journal says how.
 */
export function noteRunnerLost(turn: Turn): void {
  const { state } = turn;
  if (state.runner.kind === "lost") return;
  state.runner = { kind: "lost" };
  handBackAll(turn, DeclineReason.RUNNER_LOST, "the agent's runner is gone");
  const running = [...state.held.values()].filter((held) => held.stage.kind === "started");
  logLine(turn, "error", "runner was lost", {
    attempts: running.map((held) => `${held.task}/${formatRef(held.attempt)}`),
  });
  tellNow(turn);
}

/** The next beat carries the runner's state; one is sent at once when it changed. */
function tellNow(turn: Turn): void {
  const { connection } = turn.state;
  if (connection.kind !== "online") return;
  connection.nextBeatAtMs = turn.nowMs;
  connection.toldCapabilities = false;
}
