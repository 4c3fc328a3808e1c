// SPDX-License-Identifier: Apache-2.0
// The life of a task as one pure step; the store's functions do the same and are compared with it.

import { type AttemptRef, compareRefs, sameRef } from "./numbered-ref.ts";
import {
  type ConfirmedAttempt,
  type EndedAttempt,
  type LiveAttempt,
  lostAfterNeverMs,
  type ReportVerdictName,
  type TakenResult,
  type Task,
} from "./task.ts";
import type { AttemptWord, GiveUp, TaskAnswer, TaskEvent } from "./task-event.ts";

export interface TaskStep {
  readonly task: Task;
  readonly answer: TaskAnswer;
}

type Assigned = Extract<Task, { state: "ASSIGNED" }>;
/** A task with an attempt that has not ended. */
type Live = Assigned | Extract<Task, { state: "HELD" }>;
const none: TaskAnswer = { kind: "none" };

/**
 * One step of a task's life.
 *
 * - I1: an attempt is confirmed only out of OFFERED; a confirmation repeated names the same attempt.
 * - I2: once an attempt is given up, declined or ended, no event confirms it.
 * - I4: a result is taken from the current, confirmed attempt alone, once.
 * - I7: an event of another attempt than the current one changes nothing.
 * - I9: attempts of a task are strictly increasing.
 * - H1: what is HELD is as current as before: its result is taken, and its agent gets it back.
 * - I20: recoveries never exceed `maxRecoveries`, retries never `maxRetries`.
 */
export function stepTask(task: Task, event: TaskEvent): TaskStep {
  switch (event.kind) {
    case "offer":
      return offer(task, event);
    case "accept":
      return accept(task, event);
    case "started":
      return started(task, event);
    case "decline":
      return decline(task, event);
    case "expireOffer":
      return expireOffer(task, event);
    case "report":
      return report(task, event);
    case "inventory":
      return inventory(task, event);
    case "giveUp":
      return giveUp(task, event);
    case "expireHold":
      return expireHold(task, event);
    case "cancel":
      return cancel(task);
    default:
      return event satisfies never;
  }
}

type EventOf<Kind extends TaskEvent["kind"]> = Extract<TaskEvent, { kind: Kind }>;

function offer(task: Task, event: EventOf<"offer">): TaskStep {
  if (task.state !== "QUEUED") {
    throw new RangeError(`a task that is ${task.state} cannot be offered`);
  }
  if (task.last !== undefined && compareRefs(event.attempt, task.last.ref) <= 0) {
    throw new RangeError("attempts of a task must increase");
  }
  const { last, state: _, ...facts } = task;
  const earlier = last?.stage === "ENDED" ? [...facts.earlier, last.result] : facts.earlier;
  const attempt: LiveAttempt = {
    stage: "OFFERED",
    ref: event.attempt,
    agent: event.agent,
    session: event.session,
    deadlineMs: event.deadlineMs,
  };
  const next: Assigned = {
    ...facts,
    earlier,
    state: "ASSIGNED",
    attempts: facts.attempts + 1,
    attempt,
    cancelWished: false,
  };
  return { task: next, answer: none };
}

/** The current attempt, when the word is about it and from its agent. */
function currentOf(task: Task, word: Omit<AttemptWord, "session">): Live | undefined {
  if (!isLive(task)) return undefined;
  const { attempt } = task;
  return attempt.agent === word.agent && sameRef(attempt.ref, word.attempt) ? task : undefined;
}

function isLive(task: Task): task is Live {
  return task.state === "ASSIGNED" || task.state === "HELD";
}

function accept(task: Task, event: EventOf<"accept">): TaskStep {
  const current = currentOf(task, event);
  if (current === undefined || !sameRef(current.attempt.session, event.session)) {
    return { task, answer: { kind: "withdraw", reason: "attempt_stale" } };
  }
  const reason = refusalOf(event);
  const { attempt } = current;
  if (attempt.stage !== "OFFERED") {
    // Confirmed before. A refusal now must not give the attempt up, since the first confirm may be
    // starting it: the agent's window decides, and its decline or its inventory tells us (S5, S7).
    return { task, answer: reason === undefined ? { kind: "confirm" } : none };
  }
  if (reason !== undefined) {
    return {
      task: conclude(current, { ...holderOf(attempt), stage: "DECLINED", reason }, "free"),
      answer: { kind: "withdraw", reason },
    };
  }
  const confirmed: ConfirmedAttempt = {
    ...holderOf(attempt),
    stage: "CONFIRMED",
    sequence: event.sequence,
    aborts: (current.policy.onCut ?? event.standing?.onCut) === "ABORT",
  };
  return { task: { ...current, attempt: confirmed }, answer: { kind: "confirm" } };
}

function refusalOf(event: EventOf<"accept">): string | undefined {
  const { standing } = event;
  if (standing === undefined || !sameRef(standing.session, event.session)) return "session_ended";
  if (standing.state !== "OPEN") {
    return standing.state === "ENDING" ? "session_ending" : "session_ended";
  }
  if (standing.ageMs >= standing.limitMs) return "lease_ended";
  return standing.schedulable ? undefined : "cordoned";
}

function started(task: Task, event: EventOf<"started">): TaskStep {
  const current = currentOf(task, event);
  if (current === undefined || current.attempt.stage !== "CONFIRMED") return { task, answer: none };
  const { attempt } = current;
  const running: ConfirmedAttempt = { ...attempt, stage: "STARTED", startedAtMs: event.nowMs };
  return { task: { ...current, attempt: running }, answer: none };
}

function decline(task: Task, event: EventOf<"decline">): TaskStep {
  const current = currentOf(task, event);
  if (current === undefined || current.attempt.stage === "STARTED") return { task, answer: none };
  const declined: EndedAttempt = {
    ...holderOf(current.attempt),
    stage: "DECLINED",
    reason: event.reason,
  };
  return { task: conclude(current, declined, "free"), answer: none };
}

function expireOffer(task: Task, event: EventOf<"expireOffer">): TaskStep {
  if (task.state !== "ASSIGNED" || task.attempt.stage !== "OFFERED") return { task, answer: none };
  if (task.attempt.deadlineMs > event.nowMs) return { task, answer: none };
  const expired: EndedAttempt = {
    ...holderOf(task.attempt),
    stage: "DECLINED",
    reason: "offer_expired",
  };
  return { task: conclude(task, expired, "free"), answer: none };
}

function report(task: Task, event: EventOf<"report">): TaskStep {
  const verdict = (name: ReportVerdictName, supersededBy?: AttemptRef): TaskAnswer => ({
    kind: "verdict",
    verdict: name,
    supersededBy,
  });
  const taken = takenResult(task, event.attempt);
  if (taken !== undefined) {
    return { task, answer: verdict(taken.digest === event.digest ? "DUPLICATE" : "CONFLICT") };
  }
  const current = currentOf(task, event);
  if (current === undefined || current.attempt.stage === "OFFERED") {
    const other = isLive(task) ? task.attempt.ref : undefined;
    const superseded = sameRef(other, event.attempt) ? undefined : other;
    return { task, answer: verdict("STALE", superseded) };
  }
  if (event.ending) return { task, answer: verdict("RETRY") };
  const result: TakenResult = { ref: event.attempt, kind: event.outcome, digest: event.digest };
  const ended: EndedAttempt = { ...holderOf(current.attempt), stage: "ENDED", result };
  return { task: afterResult(current, ended, event), answer: verdict("ACCEPTED") };
}

function takenResult(task: Task, ref: AttemptRef): TakenResult | undefined {
  const last = isLive(task) ? undefined : task.last;
  if (last?.stage === "ENDED" && sameRef(last.ref, ref)) return last.result;
  return task.earlier.find((result) => sameRef(result.ref, ref));
}

function afterResult(task: Live, ended: EndedAttempt, event: EventOf<"report">): Task {
  const { cancelWished, ...facts } = factsOf(task);
  switch (event.outcome) {
    case "SUCCEEDED":
      return { ...facts, state: "SUCCEEDED", last: ended, reason: event.reason };
    case "FAILED":
      // A wished cancel takes the retry away and lets the result stand (C4).
      return !cancelWished && facts.retries < facts.policy.maxRetries
        ? { ...facts, state: "QUEUED", retries: facts.retries + 1, last: ended }
        : { ...facts, state: "FAILED", last: ended, reason: event.reason };
    case "CANCELED":
      return { ...facts, state: "CANCELED", last: ended, reason: event.reason };
    case "DUPLICATE_START":
      // Neither success nor failure (H2): CANCELED is the terminal state that is neither.
      return { ...facts, state: "CANCELED", last: ended, reason: "duplicate_start" };
    case "ABORTED":
      return conclude(task, ended, "loss", event.reason);
    default:
      return event.outcome satisfies never;
  }
}

function inventory(task: Task, event: EventOf<"inventory">): TaskStep {
  if (event.word === "ENDED") {
    return { task: rebound(task, event), answer: { kind: "inventory", verdict: "REPORT" } };
  }
  const current = currentOf(task, event);
  if (event.word === "ABSENT") {
    return { task: current === undefined ? task : afterAbsence(current, event), answer: none };
  }
  const keep: TaskAnswer = { kind: "inventory", verdict: "KEEP" };
  const kill: TaskAnswer = { kind: "inventory", verdict: "KILL" };
  if (current === undefined) return { task, answer: kill };
  const { attempt } = current;
  const sameSession = sameRef(attempt.session, event.session);
  if (event.word === "ACCEPTED") {
    if (sameSession) return { task, answer: keep };
    // An accept counts in its own session alone (S3, S4), so it can never be started in this one.
    if (attempt.stage === "STARTED") return { task: rebound(task, event), answer: keep };
    return { task: lostAtNoCost(current, "not_in_inventory"), answer: kill };
  }
  if (attempt.stage === "OFFERED") return { task, answer: kill };
  return { task: rebound(task, event), answer: keep };
}

/** S7, and H2 for what had started. */
function afterAbsence(task: Live, event: EventOf<"inventory">): Task {
  const { attempt } = task;
  const sameSession = sameRef(attempt.session, event.session);
  if (attempt.stage === "OFFERED") return sameSession ? task : lostAtNoCost(task, absent);
  if (sameSession && event.sequence < attempt.sequence) return task;
  // Another process says it: the one that held the attempt may still run it (H1).
  const { instanceFrom } = event;
  if (instanceFrom !== undefined && compareRefs(attempt.session, instanceFrom) < 0) return task;
  if (attempt.stage === "CONFIRMED") return lostAtNoCost(task, absent);
  const lost: EndedAttempt = { ...holderOf(attempt), stage: "LOST", reason: absent };
  return conclude(task, lost, "loss", "agent_lost");
}

const absent = "not_in_inventory";

function lostAtNoCost(task: Live, reason: string): Task {
  return conclude(task, { ...holderOf(task.attempt), stage: "LOST", reason }, "free");
}

function rebound(task: Task, event: EventOf<"inventory">): Task {
  const current = currentOf(task, event);
  if (current === undefined || current.attempt.stage === "OFFERED") return task;
  const attempt = { ...current.attempt, session: event.session };
  return { ...factsOf(current), state: "ASSIGNED", attempt };
}

function giveUp(task: Task, event: GiveUp): TaskStep {
  if (!isLive(task) || task.attempt.agent !== event.agent) return { task, answer: none };
  // Earlier sessions of the agent are over too: what none of its later inventories bound goes as well.
  if (compareRefs(task.attempt.session, event.session) > 0) return { task, answer: none };
  const { attempt } = task;
  const { reason } = event;
  if (attempt.stage === "OFFERED") return { task: lostAtNoCost(task, reason), answer: none };
  if (event.how === "by_policy") {
    if (task.state === "HELD") return { task, answer: none };
    const dueMs = holdUntil(task, attempt, event);
    if (dueMs > event.nowMs) {
      return { task: { ...factsOf(task), state: "HELD", attempt, dueMs, reason }, answer: none };
    }
  }
  if (event.how === "idle" && attempt.stage === "CONFIRMED") {
    return { task: lostAtNoCost(task, reason), answer: none };
  }
  return { task: givenUp(task, reason), answer: none };
}

/** H1: ABORT work has been stopped by the time its agent FAILED, so nothing is waited for. */
function holdUntil(task: Live, attempt: ConfirmedAttempt, event: GiveUp): number {
  if (attempt.aborts) return event.endedAtMs;
  const lostAfterMs = task.policy.lostAfterMs ?? event.lostAfterMs;
  return lostAfterMs >= lostAfterNeverMs ? Number.POSITIVE_INFINITY : event.endedAtMs + lostAfterMs;
}

function givenUp(task: Live, reason: string): Task {
  const lost: EndedAttempt = { ...holderOf(task.attempt), stage: "LOST", reason };
  return conclude(task, lost, "loss", "agent_lost");
}

function expireHold(task: Task, event: EventOf<"expireHold">): TaskStep {
  if (task.state !== "HELD" || task.dueMs > event.nowMs) return { task, answer: none };
  return { task: givenUp(task, task.reason), answer: none };
}

function cancel(task: Task): TaskStep {
  if (task.state === "QUEUED") {
    return { task: { ...task, state: "CANCELED", reason: "canceled_queued" }, answer: none };
  }
  // The agent of held work is away: it hears of the wish when it comes back with it.
  if (task.state === "HELD") return { task: { ...task, cancelWished: true }, answer: none };
  if (task.state !== "ASSIGNED") return { task, answer: none };
  if (task.attempt.stage === "OFFERED") {
    const withdrawn: EndedAttempt = {
      ...holderOf(task.attempt),
      stage: "DECLINED",
      reason: "canceled",
    };
    return { task: conclude({ ...task, cancelWished: true }, withdrawn, "free"), answer: none };
  }
  return {
    task: { ...task, cancelWished: true },
    answer: { kind: "cancel", attempt: task.attempt.ref },
  };
}

/**
 * What follows an attempt that ended without a result of its own. `free`: it had not started, so the
 * task keeps its place at no cost; `loss`: `on_lost` decides (H2). A wished cancel ends it (C4).
 */
function conclude(task: Live, last: EndedAttempt, cost: "free" | "loss", failed = ""): Task {
  const { cancelWished, ...facts } = factsOf(task);
  if (cancelWished) return { ...facts, state: "CANCELED", last, reason: "canceled" };
  if (cost === "free") return { ...facts, state: "QUEUED", last };
  if (facts.policy.onLost === "FAIL") return { ...facts, state: "FAILED", last, reason: failed };
  return facts.recoveries < facts.policy.maxRecoveries
    ? { ...facts, state: "QUEUED", recoveries: facts.recoveries + 1, last }
    : { ...facts, state: "FAILED", last, reason: "recoveries_exhausted" };
}

/** What a task keeps whatever becomes of its attempt. */
function factsOf(task: Live) {
  const { policy, attempts, retries, recoveries, earlier, cancelWished } = task;
  return { policy, attempts, retries, recoveries, earlier, cancelWished };
}

function holderOf(attempt: LiveAttempt): Pick<LiveAttempt, "ref" | "agent" | "session"> {
  return { ref: attempt.ref, agent: attempt.agent, session: attempt.session };
}
