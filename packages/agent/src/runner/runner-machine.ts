// SPDX-License-Identifier: Apache-2.0
// Decides what the runner does: when work may start, when it is stopped, and what its outcome is.

import { compareRefs } from "@remex/domain";
import type {
  JournalEntryJson,
  RefusedJson,
  StartJson,
  StopReasonJson,
} from "@remex/proto/runner/v1";
import { type AttemptName, refToJson } from "../contract/frame-check.ts";
import { parseDurationText, timestampText } from "../contract/json-time.ts";
import {
  concludedOutcome,
  type Exit,
  exitOutcome,
  noopOutcome,
  type RunTimes,
  type StopCause,
  startFailedOutcome,
  stoppedOutcome,
} from "./outcome.ts";
import {
  type Instant,
  keyOf,
  type RunnerEffect,
  type RunnerMachineEvent,
  type RunnerState,
  type RunningAttempt,
} from "./runner-state.ts";
import { readTrigger } from "./triggers/trigger-spec.ts";

/** What a deployment has by default, for a stop before any lease came. */
const defaultStopMs = 6_000;
/** What KILL itself may take within the stop time of work under ABORT. */
const killReserveMs = 500;
/** How long processes that KILL does not end are waited for. */
const resistMs = 10_000;

/** Takes one event; see runner-state.ts for what holds. */
export function stepRunner(
  state: RunnerState,
  event: RunnerMachineEvent,
  now: Instant,
): RunnerEffect[] {
  switch (event.kind) {
    case "lease":
      return takeLease(state, event);
    case "start":
      return start(state, event, now);
    case "stop":
      return stop(state, keyOf(event.name), stopCauses[event.reason], now);
    case "forget":
      return forget(state, event.name);
    case "close":
      return close(state, now);
    case "launched":
      return noteLaunched(state, event, now);
    case "emitted":
      return noteEmitted(state, event, now);
    case "concluded":
      return noteConcluded(state, event.key, event.message, now);
    case "launchFailed":
      return failLaunch(state, event.key, event.message, now);
    case "exited":
      return noteExit(state, event.key, event.exit, now);
    case "swept":
      return noteSwept(state, event.key, event.remaining, now);
    case "tick":
      return tick(state, now);
    default:
      return event satisfies never;
  }
}

const stopCauses: Record<StopReasonJson, StopCause> = {
  STOP_REASON_UNSPECIFIED: "KILLED",
  STOP_REASON_CANCELED: "CANCELED",
  STOP_REASON_KILLED: "KILLED",
  STOP_REASON_DRAINED: "DRAINED",
};

type EventOf<Kind extends RunnerMachineEvent["kind"]> = Extract<RunnerMachineEvent, { kind: Kind }>;

function takeLease(state: RunnerState, event: EventOf<"lease">): RunnerEffect[] {
  const held = state.lease;
  const order = held === undefined ? 1 : compareRefs(event.session, held.session);
  if (order < 0) return [];
  // Within a session a renewal that was overtaken does not shorten what a later one gave.
  const untilMs =
    order === 0 && held !== undefined ? Math.max(held.untilMs, event.untilMs) : event.untilMs;
  state.lease = { session: event.session, untilMs, stopMs: event.stopMs };
  return [];
}

function start(state: RunnerState, event: EventOf<"start">, now: Instant): RunnerEffect[] {
  const key = keyOf(event.name);
  const refusal = refusalOf(state, key, event, now);
  if (refusal !== undefined) {
    return [{ kind: "send", event: { refused: { ...nameJson(event.name), ...refusal } } }];
  }
  state.known.add(key);
  const entry = entryOf(event);
  if (event.start.spec?.noop !== undefined) return runNoop(event.name, entry, now);
  const timeoutMs = parseDurationText(event.start.spec?.timeout);
  state.attempts.set(key, {
    name: event.name,
    // C5: a trigger is under ABORT, whatever the start says.
    aborts: event.start.onCut === "ON_CUT_ABORT" || event.start.spec?.trigger !== undefined,
    startedAtMs: now.ms,
    startedAtWallMs: now.wallMs,
    timeoutAtMs: timeoutMs === undefined || timeoutMs <= 0 ? undefined : now.ms + timeoutMs,
    run: { kind: "running" },
  });
  return [
    { kind: "note", record: { record: "started", entry: { ...entry, logPath: event.logPath } } },
    { kind: "launch", key, start: event.start, logPath: event.logPath, stopMs: stopMsOf(state) },
  ];
}

type Refusal = Pick<RefusedJson, "reason" | "message">;

function refusalOf(
  state: RunnerState,
  key: string,
  event: EventOf<"start">,
  now: Instant,
): Refusal | undefined {
  if (state.phase === "closing") return { reason: "not_ready", message: "the runner is ending" };
  if (state.known.has(key)) {
    return { reason: "known_attempt", message: "this attempt was started before" };
  }
  const problem = workProblem(event.start);
  if (problem !== undefined) return { reason: "cannot_run", message: problem };
  if (now.ms >= event.windowUntilMs) {
    return { reason: "window_passed", message: "the confirm window passed before the start" };
  }
  const { lease } = state;
  if (lease === undefined || compareRefs(event.session, lease.session) !== 0) {
    return { reason: "no_lease", message: "there is no lease of the session that confirmed it" };
  }
  if (now.ms >= lease.untilMs) return { reason: "no_lease", message: "the lease has ended" };
  return undefined;
}

function workProblem(start: StartJson): string | undefined {
  const { spec } = start;
  if (spec?.noop !== undefined) return undefined;
  if (spec?.trigger !== undefined) {
    const read = readTrigger(spec.trigger);
    return read.ok ? undefined : read.failure.message;
  }
  if (spec?.command === undefined) {
    return "the process runner runs commands, noops and built-in triggers only";
  }
  const program = spec.command.argv?.[0];
  if (program === undefined || program === "") return "the command is empty";
  return undefined;
}

/** What the journal keeps: the spec without work, since work may hold credentials. */
function entryOf(event: EventOf<"start">): JournalEntryJson {
  const { command, noop, airflow, trigger, bundle, ...spec } = event.start.spec ?? {};
  return {
    ...nameJson(event.name),
    session: refToJson(event.session),
    spec,
    idempotencyKey: event.start.idempotencyKey ?? "",
    payloadDigest: event.start.payloadDigest ?? "",
  };
}

function runNoop(name: AttemptName, entry: JournalEntryJson, now: Instant): RunnerEffect[] {
  const times = { runTimeMs: 0, startedAtWallMs: now.wallMs, endedAtWallMs: now.wallMs };
  const outcome = noopOutcome(times);
  const startedAt = timestampText(now.wallMs);
  return [
    { kind: "send", event: { started: { ...nameJson(name), startedAt } } },
    {
      kind: "finish",
      record: { record: "done", entry: { ...entry, outcome } },
      event: { ended: { ...nameJson(name), outcome } },
    },
  ];
}

function noteLaunched(
  state: RunnerState,
  event: EventOf<"launched">,
  now: Instant,
): RunnerEffect[] {
  const attempt = state.attempts.get(event.key);
  if (attempt === undefined) return [];
  const startedAt = timestampText(now.wallMs);
  const { pid, logPath } = event;
  const process = pid === undefined ? {} : { pid };
  const log = logPath === undefined ? {} : { logPath };
  return [
    {
      kind: "send",
      event: { started: { ...nameJson(attempt.name), ...process, startedAt, ...log } },
    },
  ];
}

/** G3: what a trigger emits is told under a valid lease alone; without one the trigger is stopped. */
function noteEmitted(state: RunnerState, event: EventOf<"emitted">, now: Instant): RunnerEffect[] {
  const { key, number, payload } = event;
  const attempt = state.attempts.get(key);
  if (attempt?.run.kind !== "running") return [];
  if (state.lease === undefined || now.ms >= state.lease.untilMs) {
    return stop(state, key, "LEASE_ENDED", now);
  }
  const emitted = {
    ...nameJson(attempt.name),
    number: String(number),
    payload: Buffer.from(payload).toString("base64"),
  };
  return [{ kind: "send", event: { emitted } }];
}

function noteConcluded(
  state: RunnerState,
  key: string,
  message: string,
  now: Instant,
): RunnerEffect[] {
  const attempt = state.attempts.get(key);
  if (attempt?.run.kind !== "running") return [];
  return finish(state, key, attempt, concludedOutcome(message, timesOf(attempt, now)));
}

function failLaunch(
  state: RunnerState,
  key: string,
  message: string,
  now: Instant,
): RunnerEffect[] {
  const attempt = state.attempts.get(key);
  if (attempt === undefined) return [];
  return finish(state, key, attempt, startFailedOutcome(message, timesOf(attempt, now)));
}

function noteExit(state: RunnerState, key: string, exit: Exit, now: Instant): RunnerEffect[] {
  const attempt = state.attempts.get(key);
  if (attempt === undefined) return [];
  if (attempt.run.kind === "running") {
    // A result that came before the stop stands (C4), so what it left behind has no say in it.
    return [
      { kind: "clear", key },
      ...finish(state, key, attempt, exitOutcome(exit, timesOf(attempt, now))),
    ];
  }
  attempt.run = { ...attempt.run, exit };
  return [{ kind: "sweep", keys: [key] }];
}

function noteSwept(
  state: RunnerState,
  key: string,
  remaining: number,
  now: Instant,
): RunnerEffect[] {
  const attempt = state.attempts.get(key);
  if (attempt === undefined || attempt.run.kind === "running") return [];
  const { run } = attempt;
  // The leader's exit is waited for without limit: it may not be reaped before the kernel lets it go.
  if (run.exit === undefined) return [];
  const resists = run.kind === "killing" && now.ms >= run.giveUpAtMs;
  if (remaining > 0 && !resists) return [];
  const outcome = stoppedOutcome(run.cause, run.exit, remaining, timesOf(attempt, now));
  return finish(state, key, attempt, outcome);
}

function finish(
  state: RunnerState,
  key: string,
  attempt: RunningAttempt,
  outcome: NonNullable<JournalEntryJson["outcome"]>,
): RunnerEffect[] {
  state.attempts.delete(key);
  const name = nameJson(attempt.name);
  const effects: RunnerEffect[] = [
    {
      kind: "finish",
      record: { record: "ended", name, outcome },
      event: { ended: { ...name, outcome } },
    },
  ];
  if (state.phase === "closing" && state.attempts.size === 0) effects.push({ kind: "exit" });
  return effects;
}

function stop(state: RunnerState, key: string, cause: StopCause, now: Instant): RunnerEffect[] {
  const attempt = state.attempts.get(key);
  // The first reason stands: what is being stopped already is not stopped for another one.
  if (attempt === undefined || attempt.run.kind !== "running") return [];
  const killAtMs = killAtOf(state, cause, now);
  attempt.run = { kind: "stopping", cause, killAtMs, exit: undefined };
  return [{ kind: "signal", keys: [key], signal: "SIGTERM", graceMs: killAtMs - now.ms }];
}

function stopMsOf(state: RunnerState): number {
  return state.lease?.stopMs ?? defaultStopMs;
}

/**
 * When TERM is followed by KILL. Work under ABORT has to be gone by the lease's end and the stop time,
 * however late this process noticed the end, so its KILL comes a little before that.
 */
function killAtOf(state: RunnerState, cause: StopCause, now: Instant): number {
  const stopMs = stopMsOf(state);
  if (cause !== "LEASE_ENDED" || state.lease === undefined) return now.ms + stopMs;
  return Math.max(now.ms, state.lease.untilMs + stopMs - Math.min(killReserveMs, stopMs / 4));
}

function forget(state: RunnerState, name: AttemptName): RunnerEffect[] {
  const key = keyOf(name);
  if (state.attempts.has(key) || !state.known.delete(key)) return [];
  return [{ kind: "note", record: { record: "forgotten", name: nameJson(name) } }];
}

function close(state: RunnerState, now: Instant): RunnerEffect[] {
  if (state.phase === "closing") return [];
  state.phase = "closing";
  if (state.attempts.size === 0) return [{ kind: "exit" }];
  return [...state.attempts.keys()].flatMap((key) => stop(state, key, "RUNNER_LOST", now));
}

function tick(state: RunnerState, now: Instant): RunnerEffect[] {
  const effects: RunnerEffect[] = [];
  const kill: string[] = [];
  const sweep: string[] = [];
  const leaseEnded = state.lease !== undefined && now.ms >= state.lease.untilMs;
  for (const [key, attempt] of state.attempts) {
    const { run } = attempt;
    if (run.kind === "running") {
      if (attempt.timeoutAtMs !== undefined && now.ms >= attempt.timeoutAtMs) {
        effects.push(...stop(state, key, "TIMEOUT", now));
      } else if (attempt.aborts && leaseEnded) {
        effects.push(...stop(state, key, "LEASE_ENDED", now));
      }
      continue;
    }
    if (run.kind === "stopping" && now.ms >= run.killAtMs) {
      attempt.run = {
        kind: "killing",
        cause: run.cause,
        giveUpAtMs: now.ms + resistMs,
        exit: run.exit,
      };
    }
    if (attempt.run.kind === "killing") kill.push(key);
    if (run.exit !== undefined) sweep.push(key);
  }
  if (kill.length > 0) effects.push({ kind: "signal", keys: kill, signal: "SIGKILL", graceMs: 0 });
  if (sweep.length > 0) effects.push({ kind: "sweep", keys: sweep });
  return effects;
}

function timesOf(attempt: RunningAttempt, now: Instant): RunTimes {
  return {
    runTimeMs: now.ms - attempt.startedAtMs,
    startedAtWallMs: attempt.startedAtWallMs,
    endedAtWallMs: now.wallMs,
  };
}

function nameJson(name: AttemptName): {
  task: string;
  attempt: { epoch: string; number: string };
} {
  return { task: name.task, attempt: refToJson(name.attempt) };
}
