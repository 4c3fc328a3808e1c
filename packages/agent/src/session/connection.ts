// SPDX-License-Identifier: Apache-2.0
// Dials, sessions, beats and the lease: how the agent stays known to the control plane (PROTOCOL 5).

import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { formatRef, leaseRemainingMs, leaseValid, sameRef, stepLease } from "@remex/domain";
import { DeclineReason, RunnerState } from "@remex/proto/agent/v1";
import type { ServerSays, Session, WelcomeFacts } from "./agent-state.ts";
import { handBackAll, sendReports } from "./attempts.ts";
import { backoffBoundMs, decideNextDial, type StreamEnd } from "./dial-outcome.ts";
import { sendEvents } from "./emitted-events.ts";
import { learnEpoch } from "./epoch.ts";
import { noteEcho, settingsInForce, settleEcho, takeSettings } from "./interval.ts";
import { inventoryDigest, sayInventory, takeInventory } from "./inventory.ts";
import { beginRemoval, deletedCode, deletedReason, killAll } from "./removal.ts";
import { drop, logLine, say, type Turn } from "./turn.ts";

type SaysOf<Kind extends ServerSays["kind"]> = Extract<ServerSays, { kind: Kind }>;

/** Before there are settings: what a deployment has by default. */
const defaultLeaseMs = 20_000;
/** A hello that nobody answers for so long is given up. */
const welcomeLimitMs = 15_000;
/** A refused agent tries again this slowly: somebody has to change something first. */
const refusedWaitMs = 10_000;

// ---- dials --------------------------------------------------------------------------------------

/** Waits before the next dial: not at all for the first one, then longer and longer (L5). */
export function waitToDial(turn: Turn, floorMs: number): void {
  const { state } = turn;
  const leaseMs = state.session?.settings.leaseMs ?? defaultLeaseMs;
  const jitterMs = backoffBoundMs(state.tries, leaseMs);
  state.tries += 1;
  state.dial += 1;
  state.connection = { kind: "waiting", dial: state.dial };
  turn.out.push({ kind: "waitToDial", dial: state.dial, floorMs, jitterMs });
}

/** Says hello: resumes the session that there is, or asks for a new one. */
export function dialNow(turn: Turn, dial: number): void {
  const { state, nowMs } = turn;
  if (state.connection.kind !== "waiting" || state.connection.dial !== dial) return;
  const { session } = state;
  if (session !== undefined) session.generation += 1;
  const resume =
    session === undefined ? undefined : { session: session.ref, generation: session.generation };
  state.connection = { kind: "dialing", dial, resuming: resume !== undefined, helloAtMs: nowMs };
  state.hellos += 1;
  const hello = {
    resume,
    inventory: takeInventory(state),
    epochSeen: state.epoch,
    dial: state.hellos,
    takeover: resume === undefined && !state.unguarded ? state.former : undefined,
    unguarded: state.unguarded,
  };
  turn.out.push({ kind: "dial", dial, hello });
}

/** Ends the stream from this side and dials again. */
function redial(turn: Turn, floorMs: number): void {
  const { connection, dial } = turn.state;
  if (connection.kind === "dialing" || connection.kind === "online") {
    turn.out.push({ kind: "hangUp", dial });
  }
  waitToDial(turn, floorMs);
}

/** The stream ended, or the dial failed. */
export function noteStreamEnded(turn: Turn, end: StreamEnd): void {
  const { state } = turn;
  const { connection } = state;
  if (connection.kind !== "dialing" && connection.kind !== "online") return;
  const resuming = connection.kind === "online" || connection.resuming;
  noteHeld(turn);
  const next = decideNextDial(end, resuming);
  const fields = { reason: end.message, status: end.status, code: end.code };
  if (end.code === deletedCode) killAll(turn);
  if (next === "redial") {
    logLine(turn, "warn", "connection to the control plane was lost", fields);
    waitToDial(turn, end.retryAfterMs ?? 0);
  } else if (next === "newSession") {
    logLine(turn, "warn", "session cannot be resumed", fields);
    endSession(turn, end.code ?? end.status);
    waitToDial(turn, end.retryAfterMs ?? 0);
  } else {
    // The same refusal, met again and again, is told once.
    const refusal = end.code ?? end.message;
    if (state.refusal !== refusal) {
      logLine(turn, "error", "control plane refuses the agent", fields);
    }
    state.refusal = refusal;
    waitToDial(turn, end.retryAfterMs ?? refusedWaitMs);
  }
}

/** A connection that held and was acknowledged makes the failures before it forgotten (L5). */
function noteHeld(turn: Turn): void {
  const { connection, session } = turn.state;
  if (connection.kind !== "online" || !connection.acknowledged || session === undefined) return;
  if (turn.nowMs - connection.openedAtMs >= session.settings.heartbeatMs) turn.state.tries = 0;
}

// ---- sessions -----------------------------------------------------------------------------------

/** Takes a welcome: a new session, or the known one resumed. */
export function takeWelcome(turn: Turn, welcome: WelcomeFacts): void {
  const { state, nowMs } = turn;
  const { connection } = state;
  if (connection.kind !== "dialing") return;
  const known = state.session;
  const resumed = welcome.resumed && known !== undefined && sameRef(known.ref, welcome.session);
  if (resumed) takeSettings(known, welcome.settings);
  else openSession(turn, welcome, connection.helloAtMs);
  state.refusal = undefined;
  const epochBegins = learnEpoch(turn, welcome.epoch);
  state.connection = {
    kind: "online",
    dial: connection.dial,
    openedAtMs: nowMs,
    lastAckAtMs: nowMs,
    acknowledged: false,
    nextBeatAtMs: nowMs,
    toldCapabilities: false,
  };
  if (state.session !== undefined) state.session.available = welcome.available;
  logLine(turn, "info", resumed ? "session resumed" : "session opened", {
    deployment: welcome.deployment,
    session: formatRef(welcome.session),
  });
  renewRunner(turn);
  if (epochBegins) sayInventory(turn);
  beatIfDue(turn);
  sendEvents(turn, true);
  sendReports(turn, true);
  if (state.drain.kind !== "none") sayDraining(turn);
}

function openSession(turn: Turn, welcome: WelcomeFacts, helloAtMs: number): void {
  const { state } = turn;
  // A registry may open a new session where a resume was asked for: the old one is over then.
  if (state.session !== undefined) endSession(turn, "replaced");
  state.former = undefined;
  const { session, generation, settings, available } = welcome;
  state.session = {
    ref: session,
    generation,
    sequence: 0,
    settings,
    pending: undefined,
    available,
    drainAtMs: undefined,
  };
  state.lease = stepLease(state.lease, {
    kind: "sessionOpened",
    session,
    sentAtMs: helloAtMs,
    leaseMs: settings.leaseMs,
  });
}

/** The session is over: un-started accepts of it are void, and its lease is (S4). */
function endSession(turn: Turn, reason: string): void {
  const { state } = turn;
  const { session } = state;
  if (session === undefined) return;
  for (const held of [...state.held.values()]) {
    if (held.stage.kind === "accepted") drop(state, held);
  }
  state.session = undefined;
  state.removal = undefined;
  state.lease = stepLease(state.lease, { kind: "sessionEnded", session: session.ref, reason });
}

/** L8: nothing is confirmed any more. What never started is handed back, then a new session is asked for. */
export function takeSessionEnding(turn: Turn, says: SaysOf<"sessionEnding">): void {
  if (says.reason === deletedReason) {
    beginRemoval(turn);
    return;
  }
  logLine(turn, "warn", "session is ending", { reason: says.reason });
  handBackAll(turn, DeclineReason.NO_LEASE, `the session is ending: ${says.reason}`);
  endSession(turn, says.reason);
  redial(turn, 0);
}

export function takeSessionEnded(turn: Turn, says: SaysOf<"sessionEnded">): void {
  logLine(turn, "warn", "session ended", { reason: says.reason });
  noteHeld(turn);
  endSession(turn, says.reason);
  redial(turn, says.mayReturn ? 0 : refusedWaitMs);
}

export function takeGoAway(turn: Turn, says: SaysOf<"goAway">): void {
  logLine(turn, "info", "control plane asks for another connection", { reason: says.reason });
  turn.state.tries = 0;
  redial(turn, says.dialAfterMs);
}

// ---- beats and the lease ------------------------------------------------------------------------

/** Sends the beat when it is due; the sequence is shared with accepts (S2). */
export function beatIfDue(turn: Turn): void {
  const { state, nowMs } = turn;
  const { connection, session } = state;
  if (connection.kind !== "online" || session === undefined) return;
  if (nowMs < connection.nextBeatAtMs) return;
  const settings = settingsInForce(session);
  session.sequence += 1;
  const { sequence } = session;
  noteEcho(session, sequence);
  state.lease = stepLease(state.lease, { kind: "beatSent", sequence, sentAtMs: nowMs });
  // Beats keep their rhythm; after a pause the next one is due a whole interval later.
  const rhythm = connection.nextBeatAtMs + settings.heartbeatMs;
  connection.nextBeatAtMs = rhythm > nowMs ? rhythm : nowMs + settings.heartbeatMs;
  const toldCapabilities = connection.toldCapabilities;
  connection.toldCapabilities = true;
  turn.out.push({
    kind: "beat",
    withCapabilities: !toldCapabilities,
    beat: {
      sequence: BigInt(sequence),
      intervalVersion: BigInt(settings.version),
      loopTurns: BigInt(state.turns),
      loopAge: durationFromMs(Math.max(0, Math.round(nowMs - state.lastTurnAtMs))),
      runnerState: runnerStates[state.runner.kind],
      slotsUsed: state.slotsUsed,
      inventoryDigest: inventoryDigest(state),
    },
  });
}

const runnerStates = {
  ready: RunnerState.READY,
  starting: RunnerState.STARTING,
  lost: RunnerState.LOST,
} as const;

/** T3: the lease counts from when the acknowledged beat was sent. */
export function takeBeatAck(turn: Turn, ack: SaysOf<"beatAck">): void {
  const { state, nowMs } = turn;
  const { connection, session } = state;
  if (connection.kind !== "online" || session === undefined) return;
  // A monitor that has not noticed yet renewed a lease in a store that is not the store any more (L1, D2).
  if (ack.epoch !== 0 && ack.epoch < state.epoch) return;
  connection.lastAckAtMs = nowMs;
  connection.acknowledged = true;
  noteHeld(turn);
  state.lease = stepLease(state.lease, {
    kind: "beatAcknowledged",
    session: session.ref,
    sequence: ack.sequence,
  });
  if (settleEcho(session, ack.sequence)) applyLeaseTime(turn, session);
  renewRunner(turn);
  if (learnEpoch(turn, ack.epoch)) sayInventory(turn);
}

/** New settings: the smaller values hold at once, and the next beat says that they arrived (T4). */
export function takeNewSettings(turn: Turn, says: SaysOf<"settings">): void {
  const { session, connection } = turn.state;
  if (session === undefined || !takeSettings(session, says.settings)) return;
  applyLeaseTime(turn, session);
  renewRunner(turn);
  if (connection.kind === "online") {
    connection.nextBeatAtMs = turn.nowMs;
    beatIfDue(turn);
  }
}

function applyLeaseTime(turn: Turn, session: Session): void {
  const { leaseMs } = settingsInForce(session);
  turn.state.lease = stepLease(turn.state.lease, { kind: "settingsChanged", leaseMs });
}

/** Passes the lease on to the runner, which stops work by itself when it ends. */
export function renewRunner(turn: Turn): void {
  const { state, nowMs } = turn;
  if (state.session === undefined || state.runner.kind === "lost") return;
  if (!leaseValid(state.lease, nowMs)) return;
  turn.out.push({
    kind: "renewRunner",
    session: state.session.ref,
    untilMs: nowMs + leaseRemainingMs(state.lease, nowMs),
    stopMs: settingsInForce(state.session).stopMs,
  });
}

/** L5: an open stream without an acknowledgement for 1.5 H, or a hello without an answer, is given up. */
export function watchConnection(turn: Turn): void {
  const { state, nowMs } = turn;
  const { connection, session } = state;
  if (connection.kind === "dialing" && nowMs - connection.helloAtMs > welcomeLimitMs) {
    logLine(turn, "warn", "control plane does not answer the hello", {});
    redial(turn, 0);
    return;
  }
  if (connection.kind !== "online" || session === undefined) return;
  const limitMs = 1.5 * settingsInForce(session).heartbeatMs;
  if (nowMs - connection.lastAckAtMs <= limitMs) return;
  logLine(turn, "warn", "no heartbeat was acknowledged in time", {
    durationMs: nowMs - connection.lastAckAtMs,
  });
  noteHeld(turn);
  redial(turn, 0);
}

/** Tells the control plane that the agent takes itself out. */
export function sayDraining(turn: Turn): void {
  const { drain } = turn.state;
  if (drain.kind !== "draining") return;
  const { reason, deadlineAtMs } = drain;
  const leftMs = deadlineAtMs === undefined ? undefined : Math.max(0, deadlineAtMs - turn.nowMs);
  say(turn, {
    case: "draining",
    value: {
      reason: reason.slice(0, 200),
      ...(leftMs === undefined ? {} : { deadline: { seconds: BigInt(Math.ceil(leftMs / 1000)) } }),
    },
  });
}
