// SPDX-License-Identifier: Apache-2.0
// The life of a task as one pure step; the store's functions do the same and are compared with it.

import { type AttemptRef, compareRefs, type SessionRef, sameRef } from "./numbered-ref.ts";
import type { OutcomeKind } from "./outcomes.ts";
import type { EndedAttempt, LiveAttempt, ReportVerdictName, TakenResult, Task } from "./task.ts";

/** What the store knows of a session when an accept is judged (S3). */
export interface SessionStanding {
  readonly session: SessionRef;
  readonly state: "OPEN" | "ENDING" | "ENDED";
  /** Time since its lease was renewed, by the store's clock. */
  readonly ageMs: number;
  /** The age at which the session is over (SL). */
  readonly limitMs: number;
  readonly schedulable: boolean;
}

/** Names one attempt as an agent speaks of it. */
export interface AttemptWord {
  readonly agent: string;
  readonly session: SessionRef;
  readonly attempt: AttemptRef;
}

/** What an inventory says of an attempt that the store holds for its agent; absent ones are named too. */
export type InventoryWord = "ACCEPTED" | "STARTED" | "ENDED" | "ABSENT";

export type TaskEvent =
  | (AttemptWord & { readonly kind: "offer"; readonly deadlineMs: number })
  | (AttemptWord & {
      readonly kind: "accept";
      readonly sequence: number;
      readonly standing: SessionStanding | undefined;
    })
  | (AttemptWord & { readonly kind: "started"; readonly nowMs: number })
  | (AttemptWord & { readonly kind: "decline"; readonly reason: string })
  | { readonly kind: "expireOffer"; readonly nowMs: number }
  | (AttemptWord & {
      readonly kind: "report";
      readonly outcome: OutcomeKind;
      readonly reason: string;
      readonly digest: string;
      readonly ending: boolean;
    })
  | (AttemptWord & {
      readonly kind: "inventory";
      readonly sequence: number;
      readonly word: InventoryWord;
    })
  | {
      readonly kind: "giveUp";
      readonly agent: string;
      readonly session: SessionRef;
      readonly reason: string;
    }
  | { readonly kind: "cancel" };

/** What the one who asked is told. */
export type TaskAnswer =
  | { readonly kind: "none" }
  | { readonly kind: "confirm" }
  | { readonly kind: "withdraw"; readonly reason: string }
  | {
      readonly kind: "verdict";
      readonly verdict: ReportVerdictName;
      readonly supersededBy: AttemptRef | undefined;
    }
  | { readonly kind: "inventory"; readonly verdict: "KEEP" | "KILL" | "REPORT" }
  | { readonly kind: "cancel"; readonly attempt: AttemptRef };

export interface TaskStep {
  readonly task: Task;
  readonly answer: TaskAnswer;
}

type Assigned = Extract<Task, { state: "ASSIGNED" }>;
const none: TaskAnswer = { kind: "none" };

/**
 * One step of a task's life.
 *
 * - I1: an attempt is confirmed only out of OFFERED; a confirmation repeated names the same attempt.
 * - I2: once an attempt is given up, declined or ended, no event confirms it.
 * - I4: a result is taken from the current, confirmed attempt alone, once.
 * - I7: an event of another attempt than the current one changes nothing.
 * - I9: attempts of a task are strictly increasing.
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
function currentOf(task: Task, word: Omit<AttemptWord, "session">): Assigned | undefined {
  if (task.state !== "ASSIGNED") return undefined;
  const { attempt } = task;
  return attempt.agent === word.agent && sameRef(attempt.ref, word.attempt) ? task : undefined;
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
  const confirmed: LiveAttempt = {
    ...holderOf(attempt),
    stage: "CONFIRMED",
    sequence: event.sequence,
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
  const running: LiveAttempt = { ...attempt, stage: "STARTED", startedAtMs: event.nowMs };
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
    const other = task.state === "ASSIGNED" ? task.attempt.ref : undefined;
    const superseded = sameRef(other, event.attempt) ? undefined : other;
    return { task, answer: verdict("STALE", superseded) };
  }
  if (event.ending) return { task, answer: verdict("RETRY") };
  const result: TakenResult = { ref: event.attempt, kind: event.outcome, digest: event.digest };
  const ended: EndedAttempt = { ...holderOf(current.attempt), stage: "ENDED", result };
  return { task: afterResult(current, ended, event), answer: verdict("ACCEPTED") };
}

function takenResult(task: Task, ref: AttemptRef): TakenResult | undefined {
  const last = task.state === "ASSIGNED" ? undefined : task.last;
  if (last?.stage === "ENDED" && sameRef(last.ref, ref)) return last.result;
  return task.earlier.find((result) => sameRef(result.ref, ref));
}

function afterResult(task: Assigned, ended: EndedAttempt, event: EventOf<"report">): Task {
  const { state: _, attempt: _attempt, cancelWished, ...facts } = task;
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
    return { task: lostAtNoCost(current), answer: kill };
  }
  if (attempt.stage === "OFFERED") return { task, answer: kill };
  return { task: rebound(task, event), answer: keep };
}

/** S7, and H2 for what had started. */
function afterAbsence(task: Assigned, event: EventOf<"inventory">): Task {
  const { attempt } = task;
  const sameSession = sameRef(attempt.session, event.session);
  if (attempt.stage === "OFFERED") return sameSession ? task : lostAtNoCost(task);
  if (sameSession && event.sequence < attempt.sequence) return task;
  if (attempt.stage === "CONFIRMED") return lostAtNoCost(task);
  const lost: EndedAttempt = { ...holderOf(attempt), stage: "LOST", reason: "not_in_inventory" };
  return conclude(task, lost, "loss", "agent_lost");
}

function lostAtNoCost(task: Assigned): Task {
  const lost: EndedAttempt = {
    ...holderOf(task.attempt),
    stage: "LOST",
    reason: "not_in_inventory",
  };
  return conclude(task, lost, "free");
}

function rebound(task: Task, event: EventOf<"inventory">): Task {
  const current = currentOf(task, event);
  if (current === undefined || current.attempt.stage === "OFFERED") return task;
  return { ...current, attempt: { ...current.attempt, session: event.session } };
}

function giveUp(task: Task, event: EventOf<"giveUp">): TaskStep {
  if (task.state !== "ASSIGNED" || task.attempt.agent !== event.agent) {
    return { task, answer: none };
  }
  // Earlier sessions of the agent are over too: what none of its later inventories bound goes as well.
  if (compareRefs(task.attempt.session, event.session) > 0) return { task, answer: none };
  const lost: EndedAttempt = { ...holderOf(task.attempt), stage: "LOST", reason: event.reason };
  const cost = task.attempt.stage === "OFFERED" ? "free" : "loss";
  return { task: conclude(task, lost, cost, "agent_lost"), answer: none };
}

function cancel(task: Task): TaskStep {
  if (task.state === "QUEUED") {
    return { task: { ...task, state: "CANCELED", reason: "canceled_queued" }, answer: none };
  }
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
function conclude(task: Assigned, last: EndedAttempt, cost: "free" | "loss", failed = ""): Task {
  const { state: _, attempt: _attempt, cancelWished, ...facts } = task;
  if (cancelWished) return { ...facts, state: "CANCELED", last, reason: "canceled" };
  if (cost === "free") return { ...facts, state: "QUEUED", last };
  if (facts.policy.onLost === "FAIL") return { ...facts, state: "FAILED", last, reason: failed };
  return facts.recoveries < facts.policy.maxRecoveries
    ? { ...facts, state: "QUEUED", recoveries: facts.recoveries + 1, last }
    : { ...facts, state: "FAILED", last, reason: "recoveries_exhausted" };
}

function holderOf(attempt: LiveAttempt): Pick<LiveAttempt, "ref" | "agent" | "session"> {
  return { ref: attempt.ref, agent: attempt.agent, session: attempt.session };
}
