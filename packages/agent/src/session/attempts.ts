// SPDX-License-Identifier: Apache-2.0
// The life of an attempt on the agent: offer, accept, confirm, start, end, report (PROTOCOL 4 and 7).

import { hash } from "node:crypto";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  builtinTriggers,
  compareRefs,
  formatRef,
  leaseValid,
  type NumberedRef,
  outcomeKindName,
  outcomeReasonName,
  reportDigestBytes,
  triggerRuntime,
} from "@remex/domain";
import { DeclineReason, ReportVerdict } from "@remex/proto/agent/v1";
import { OnCut, type Outcome, type TaskSpec } from "@remex/proto/common/v1";
import type { StopReasonJson } from "@remex/proto/runner/v1";
import type {
  AgentState,
  AttemptEventName,
  AttemptFacts,
  Held,
  RunnerSays,
  ServerSays,
} from "./agent-state.ts";
import { settingsInForce } from "./interval.ts";
import { drop, heldKey, hold, logLine, moveTo, say, type Turn, wireName } from "./turn.ts";

type SaysOf<Kind extends ServerSays["kind"]> = Extract<ServerSays, { kind: Kind }>;
type RunnerOf<Kind extends RunnerSays["kind"]> = Extract<RunnerSays, { kind: Kind }>;

/** So many tasks are remembered by their highest attempt; what falls out is guarded by S3. */
const mostSeen = 20_000;

/** How long a RETRY without a time of its own is waited for. */
const defaultRetryMs = 1_000;

// ---- offers -------------------------------------------------------------------------------------

/** S1, S2: takes an offer of an attempt higher than any seen, or says why not. */
export function takeOffer(turn: Turn, offer: SaysOf<"offer">): void {
  const { state } = turn;
  const { session } = state;
  if (session === undefined) return;
  // Of a store that is not the store any more (D2): nobody waits for an answer.
  if (offer.attempt.epoch < state.epoch) return;
  const seen = state.seen.get(offer.task);
  if (seen !== undefined && compareRefs(offer.attempt, seen) <= 0) return;
  noteSeen(state, offer.task, offer.attempt);
  const refusal = offerRefusal(state, offer);
  if (refusal !== undefined) {
    decline(turn, offer, refusal.reason, refusal.message);
    return;
  }
  session.sequence += 1;
  const sequence = BigInt(session.sequence);
  hold(state, {
    key: heldKey(offer.task, offer.attempt),
    task: offer.task,
    attempt: offer.attempt,
    facts: offer.facts,
    stage: { kind: "accepted", sentAtMs: turn.nowMs, spec: offer.spec },
  });
  say(turn, { case: "accept", value: { ...wireName(offer), sequence } });
}

function noteSeen(state: AgentState, task: string, attempt: NumberedRef): void {
  state.seen.delete(task);
  state.seen.set(task, attempt);
  if (state.seen.size <= mostSeen) return;
  const oldest = state.seen.keys().next().value;
  if (oldest !== undefined) state.seen.delete(oldest);
}

interface Refusal {
  readonly reason: DeclineReason;
  readonly message: string;
}

function offerRefusal(state: AgentState, offer: SaysOf<"offer">): Refusal | undefined {
  if (state.drain.kind !== "none") {
    return { reason: DeclineReason.DRAINING, message: "the agent is draining" };
  }
  if (state.runner.kind === "lost") {
    return { reason: DeclineReason.RUNNER_LOST, message: "the agent's runner is gone" };
  }
  if (state.runner.kind === "starting") {
    return { reason: DeclineReason.RUNNER_LOST, message: "the agent's runner is still starting" };
  }
  const runtime = runtimeOf(offer.spec);
  if (runtime === undefined || !state.runner.runtimes.includes(runtime)) {
    const has = state.runner.runtimes.join(", ");
    const message = `the agent's runner has no ${runtime ?? "such"} runtime; it has ${has}`;
    return { reason: DeclineReason.CANNOT_RUN, message };
  }
  const free = state.identity.slots - state.slotsUsed;
  if (offer.facts.slotCost > free) {
    const message = `the task costs ${offer.facts.slotCost} slots, ${Math.max(0, free)} are free`;
    return { reason: DeclineReason.NO_SLOTS, message };
  }
  return undefined;
}

/** What the work needs of the runner. */
function runtimeOf({ work }: TaskSpec): string | undefined {
  return work.case === "trigger"
    ? triggerRuntime(work.value.runtime || builtinTriggers)
    : work.case;
}

function decline(turn: Turn, name: AttemptEventName, reason: DeclineReason, message: string): void {
  say(turn, {
    case: "decline",
    value: { ...wireName(name), reason, message: message.slice(0, 1_000) },
  });
}

/** Hands an accept back that was never started, and frees its slots. */
export function handBack(turn: Turn, held: Held, reason: DeclineReason, message: string): void {
  drop(turn.state, held);
  decline(turn, held, reason, message);
}

/** Hands all un-started accepts back. */
export function handBackAll(turn: Turn, reason: DeclineReason, message: string): void {
  for (const held of [...turn.state.held.values()]) {
    if (held.stage.kind === "accepted") handBack(turn, held, reason, message);
  }
}

/** Frees the slots of an offer that was taken back; what was started already goes on. */
export function takeWithdraw(turn: Turn, withdraw: SaysOf<"withdraw">): void {
  const held = turn.state.held.get(heldKey(withdraw.task, withdraw.attempt));
  if (held?.stage.kind === "accepted") drop(turn.state, held);
}

// ---- start --------------------------------------------------------------------------------------

/**
 * S4: starts only an un-started accept of this session, within the window, under a valid lease. Accepts
 * of older sessions were dropped with them, so what is held is of this one. The runner checks again.
 */
export function takeConfirm(turn: Turn, confirm: SaysOf<"confirm">): void {
  const { state, nowMs } = turn;
  const { session } = state;
  const held = state.held.get(heldKey(confirm.task, confirm.attempt));
  if (session === undefined) return;
  if (held === undefined) {
    decline(turn, confirm, DeclineReason.WINDOW_PASSED, "there is no such accept any more");
    return;
  }
  if (held.stage.kind !== "accepted") return;
  const { sentAtMs, spec } = held.stage;
  const settings = settingsInForce(session);
  const windowUntilMs = sentAtMs + settings.windowMs;
  if (nowMs >= windowUntilMs) {
    handBack(turn, held, DeclineReason.WINDOW_PASSED, "the confirmation came after the window");
    return;
  }
  if (!leaseValid(state.lease, nowMs)) {
    handBack(turn, held, DeclineReason.NO_LEASE, "the agent's lease is not valid");
    return;
  }
  if (state.runner.kind !== "ready") {
    handBack(turn, held, DeclineReason.RUNNER_LOST, "the agent's runner is gone");
    return;
  }
  const { task, attempt, facts } = held;
  moveTo(state, held, { kind: "started", told: false, stopping: false });
  turn.out.push({
    kind: "startWork",
    task,
    attempt,
    session: session.ref,
    windowUntilMs,
    spec,
    onCut: effectiveOnCut(spec, confirm.onCut || facts.onCut, settings.onCut),
    facts,
  });
}

function effectiveOnCut(spec: TaskSpec, task: OnCut, deployment: OnCut): OnCut {
  // C5: a trigger is under ABORT whatever anybody says.
  if (spec.work.case === "trigger") return OnCut.ABORT;
  if (task !== OnCut.UNSPECIFIED) return task;
  return deployment === OnCut.UNSPECIFIED ? OnCut.CONTINUE : deployment;
}

/** S5: an accept whose confirmation did not come within the window is handed back. */
export function expireAccepts(turn: Turn): void {
  const { state, nowMs } = turn;
  if (state.session === undefined) return;
  const { windowMs } = settingsInForce(state.session);
  for (const held of [...state.held.values()]) {
    if (held.stage.kind === "accepted" && nowMs >= held.stage.sentAtMs + windowMs) {
      handBack(turn, held, DeclineReason.WINDOW_PASSED, "no confirmation came within the window");
    }
  }
}

/** C4: a cancel that comes before the start hands the attempt back, one that comes later stops it. */
export function takeCancel(turn: Turn, cancel: SaysOf<"cancel">): void {
  const held = turn.state.held.get(heldKey(cancel.task, cancel.attempt));
  // One that is not held was handed back or reported; what it became is seen by the inventory (S7).
  if (held === undefined) return;
  if (held.stage.kind === "accepted") {
    handBack(turn, held, DeclineReason.CANCELED, "the cancel came before the start");
  } else if (held.stage.kind === "started") {
    stopHeld(turn, held, "STOP_REASON_CANCELED");
  } else {
    report(turn, held);
  }
}

/** Has the runner stop an attempt; asked once. */
export function stopHeld(turn: Turn, held: Held, reason: StopReasonJson): void {
  if (held.stage.kind !== "started" || held.stage.stopping) return;
  held.stage = { ...held.stage, stopping: true };
  const { task, attempt } = held;
  turn.out.push({ kind: "stopWork", task, attempt, reason });
}

// ---- what the runner says -----------------------------------------------------------------------

export function noteStarted(turn: Turn, event: RunnerOf<"attemptStarted">): void {
  const held = turn.state.held.get(heldKey(event.task, event.attempt));
  if (held?.stage.kind !== "started") return;
  held.stage = { ...held.stage, told: true };
  const { pid, startedAtWallMs } = event;
  say(turn, {
    case: "progress",
    value: {
      ...wireName(event),
      progress: {
        case: "started",
        value: {
          ...(pid === undefined ? {} : { pid }),
          startedAt: timestampFromMs(startedAtWallMs),
        },
      },
    },
  });
}

const refusalReasons: Readonly<Record<string, DeclineReason>> = {
  window_passed: DeclineReason.WINDOW_PASSED,
  no_lease: DeclineReason.NO_LEASE,
  cannot_run: DeclineReason.CANNOT_RUN,
  not_ready: DeclineReason.RUNNER_LOST,
};

/** The runner never started it and never will. */
export function noteRefused(turn: Turn, event: RunnerOf<"attemptRefused">): void {
  const held = turn.state.held.get(heldKey(event.task, event.attempt));
  if (held?.stage.kind !== "started" || held.stage.told) return;
  const { task, message } = event;
  if (event.reason === "known_attempt") {
    // It was started before; its end is in the journal or to come, so it is not handed back (I1).
    const attempt = formatRef(event.attempt);
    logLine(turn, "error", "runner knows the attempt already", { task, attempt });
    return;
  }
  turn.out.push({ kind: "attemptOver", task, attempt: event.attempt });
  handBack(turn, held, refusalReasons[event.reason] ?? DeclineReason.CANNOT_RUN, message);
}

/** The outcome is in the runner's journal, synced (C1): the slots fall free and the report is sent. */
export function noteEnded(turn: Turn, event: RunnerOf<"attemptEnded">): void {
  const { task, attempt, outcome } = event;
  const key = heldKey(task, attempt);
  const held = turn.state.held.get(key);
  if (held?.stage.kind === "ended") return;
  turn.out.push({ kind: "attemptOver", task, attempt });
  const stage = endedStage(outcome, turn.nowMs);
  if (held === undefined) {
    const unknown: Held = { key, task, attempt, facts: unknownFacts, stage };
    hold(turn.state, unknown);
    report(turn, unknown);
    return;
  }
  moveTo(turn.state, held, stage);
  report(turn, held);
}

/** What is said of an attempt that only the runner remembers. */
const unknownFacts: AttemptFacts = {
  idempotencyKey: "",
  payloadDigest: new Uint8Array(),
  queue: "",
  requiredLabels: {},
  slotCost: 1,
  onLost: 0,
  onCut: 0,
  lostAfterMs: undefined,
};

/** The stage of an attempt with an outcome. */
export function endedStage(outcome: Outcome, dueAtMs: number): Held["stage"] {
  const bytes = reportDigestBytes({
    kind: outcomeKindName(outcome.kind),
    reason: outcomeReasonName(outcome.reason),
    exitCode: outcome.exitCode,
    signal: outcome.signal,
    message: outcome.message,
    result: outcome.result,
  });
  const digest = hash("sha256", bytes, "buffer");
  return { kind: "ended", outcome, digest, dueAtMs };
}

// ---- reports ------------------------------------------------------------------------------------

/** Sends the report of an ended attempt; it is due again after a while, should no answer come on a stream that stays. */
export function report(turn: Turn, held: Held): void {
  const { state, nowMs } = turn;
  if (held.stage.kind !== "ended" || state.connection.kind !== "online") return;
  // E1: its kept calls go first.
  if (state.keptCalls.has(held.key)) return;
  const { outcome, digest } = held.stage;
  held.stage.dueAtMs = nowMs + (state.session?.settings.heartbeatMs ?? defaultRetryMs);
  const droppedCalls = state.droppedCalls.get(held.key) ?? 0;
  say(turn, { case: "report", value: { ...wireName(held), outcome, digest, droppedCalls } });
}

/** Sends the reports that are due; all of them when `all` (a stream has just opened, C1). */
export function sendReports(turn: Turn, all: boolean): void {
  if (turn.state.connection.kind !== "online") return;
  for (const held of turn.state.held.values()) {
    if (held.stage.kind === "ended" && (all || turn.nowMs >= held.stage.dueAtMs)) {
      report(turn, held);
    }
  }
}

/** C2: every answer but RETRY is for good: the journal may forget the attempt. */
export function takeReportAnswer(turn: Turn, answer: SaysOf<"reportAnswer">): void {
  const { state, nowMs } = turn;
  const held = state.held.get(heldKey(answer.task, answer.attempt));
  if (held?.stage.kind !== "ended") return;
  const { task, attempt } = held;
  switch (answer.verdict) {
    case ReportVerdict.RETRY:
    case ReportVerdict.UNSPECIFIED:
      held.stage.dueAtMs = nowMs + (answer.retryAfterMs ?? defaultRetryMs);
      return;
    case ReportVerdict.STALE:
    case ReportVerdict.CONFLICT:
    case ReportVerdict.UNKNOWN_TASK:
      logLine(turn, "warn", "result was not taken", {
        task,
        attempt: formatRef(attempt),
        verdict: ReportVerdict[answer.verdict],
        reason: answer.reason,
      });
      break;
    case ReportVerdict.ACCEPTED:
    case ReportVerdict.DUPLICATE:
      break;
    default:
      answer.verdict satisfies never;
  }
  drop(state, held);
  turn.out.push({ kind: "forgetWork", task, attempt });
}
