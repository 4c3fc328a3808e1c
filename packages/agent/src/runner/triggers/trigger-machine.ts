// SPDX-License-Identifier: Apache-2.0
// Decides what one built-in trigger does: when it looks again, what it emits, and when it has ended well.

import type { BuiltinTrigger, FileTrigger, HttpTrigger, TimerTrigger } from "@remex/domain";

/**
 * One trigger in one attempt.
 *
 * - `waiting`: nothing happens before an instant. Out: that instant.
 * - `asking`: a request or a look is under way. Out: its answer.
 * - `telling`: an event was emitted and is not known to be durable. Out: the word that it is.
 * - `over`: it has ended well. Nothing leads out.
 *
 * A trigger tells one event at a time, and ends only when its last one is durable: what is lost on the
 * way is thereby never lost for good, since an attempt that does not end well begins anew elsewhere.
 */
export interface TriggerState {
  readonly trigger: BuiltinTrigger;
  /** Number of the last event emitted. */
  emitted: number;
  /** Requests or looks so far. */
  polls: number;
  phase: TriggerPhase;
}

export type TriggerPhase =
  | { readonly kind: "waiting"; readonly untilMs: number }
  | { readonly kind: "asking" }
  /** `againAtMs` is when the next event is due; undefined after the last one. */
  | { readonly kind: "telling"; readonly againAtMs: number | undefined }
  | { readonly kind: "over" };

export type TriggerEvent =
  | { readonly kind: "begin" }
  /** The instant that was waited for has come, or an earlier one. */
  | { readonly kind: "woken" }
  | { readonly kind: "answered"; readonly status: number; readonly body: string }
  /** The request failed or took too long. */
  | { readonly kind: "unanswered" }
  /** Size of what is at the path; undefined when nothing is, or nothing that can be seen. */
  | { readonly kind: "looked"; readonly size: number | undefined }
  | { readonly kind: "durable"; readonly number: number };

export type TriggerEffect =
  /** Report `woken` at this instant. */
  | { readonly kind: "wakeAt"; readonly atMs: number }
  | { readonly kind: "ask"; readonly request: HttpTrigger }
  | { readonly kind: "look"; readonly path: string }
  | {
      readonly kind: "emit";
      readonly number: number;
      readonly payload: Readonly<Record<string, string | number>>;
    }
  | { readonly kind: "end"; readonly message: string };

export interface TriggerInstant {
  readonly ms: number;
  /** For display only. */
  readonly wallMs: number;
}

const longestShownBody = 16_384;

export function createTriggerState(trigger: BuiltinTrigger): TriggerState {
  return { trigger, emitted: 0, polls: 0, phase: { kind: "over" } };
}

/** Takes one event; changes the state that it is given, which nobody else reads between two steps. */
export function stepTrigger(
  state: TriggerState,
  event: TriggerEvent,
  now: TriggerInstant,
): TriggerEffect[] {
  const { trigger, phase } = state;
  switch (event.kind) {
    case "begin":
      return trigger.kind === "timer" ? wait(state, now.ms + trigger.afterMs) : poll(state);
    case "woken":
      if (phase.kind !== "waiting") return [];
      if (now.ms < phase.untilMs) return [{ kind: "wakeAt", atMs: phase.untilMs }];
      return trigger.kind === "timer" ? fire(state, trigger, phase.untilMs, now) : poll(state);
    case "answered":
      if (phase.kind !== "asking" || trigger.kind !== "http") return [];
      return judgeAnswer(state, trigger, event, now);
    case "unanswered":
      if (phase.kind !== "asking" || trigger.kind !== "http") return [];
      return wait(state, now.ms + trigger.everyMs);
    case "looked":
      if (phase.kind !== "asking" || trigger.kind !== "file") return [];
      return judgeLook(state, trigger, event.size, now);
    case "durable":
      return noteDurable(state, event.number, now);
    default:
      return event satisfies never;
  }
}

function wait(state: TriggerState, untilMs: number): TriggerEffect[] {
  state.phase = { kind: "waiting", untilMs };
  return [{ kind: "wakeAt", atMs: untilMs }];
}

function poll(state: TriggerState): TriggerEffect[] {
  const { trigger } = state;
  if (trigger.kind === "timer") return [];
  state.phase = { kind: "asking" };
  state.polls += 1;
  return [
    trigger.kind === "http"
      ? { kind: "ask", request: trigger }
      : { kind: "look", path: trigger.path },
  ];
}

function fire(
  state: TriggerState,
  trigger: TimerTrigger,
  dueMs: number,
  now: TriggerInstant,
): TriggerEffect[] {
  const isLast = trigger.times !== undefined && state.emitted + 1 >= trigger.times;
  // The rhythm is kept; what a pause made it miss is not caught up with.
  const againAtMs = isLast ? undefined : Math.max(dueMs + (trigger.everyMs ?? 0), now.ms);
  const firedAt = new Date(now.wallMs).toISOString();
  return tell(state, { firing: state.emitted + 1, firedAt }, againAtMs);
}

function judgeAnswer(
  state: TriggerState,
  trigger: HttpTrigger,
  { status, body }: Extract<TriggerEvent, { kind: "answered" }>,
  now: TriggerInstant,
): TriggerEffect[] {
  const { expectStatuses, expectBody } = trigger;
  const statusFits =
    expectStatuses.length === 0 ? status >= 200 && status <= 299 : expectStatuses.includes(status);
  if (!statusFits || !body.includes(expectBody)) return wait(state, now.ms + trigger.everyMs);
  const shown = body.slice(0, longestShownBody);
  return tell(state, { status, body: shown, polls: state.polls }, undefined);
}

function judgeLook(
  state: TriggerState,
  trigger: FileTrigger,
  size: number | undefined,
  now: TriggerInstant,
): TriggerEffect[] {
  if (size === undefined) return wait(state, now.ms + trigger.everyMs);
  return tell(state, { path: trigger.path, size, polls: state.polls }, undefined);
}

function tell(
  state: TriggerState,
  payload: Readonly<Record<string, string | number>>,
  againAtMs: number | undefined,
): TriggerEffect[] {
  state.emitted += 1;
  state.phase = { kind: "telling", againAtMs };
  return [{ kind: "emit", number: state.emitted, payload }];
}

function noteDurable(state: TriggerState, number: number, now: TriggerInstant): TriggerEffect[] {
  const { phase } = state;
  if (phase.kind !== "telling" || number < state.emitted) return [];
  if (phase.againAtMs !== undefined) return wait(state, Math.max(phase.againAtMs, now.ms));
  state.phase = { kind: "over" };
  const events = state.emitted === 1 ? "1 event" : `${state.emitted} events`;
  return [{ kind: "end", message: `the ${state.trigger.kind} trigger emitted ${events}` }];
}
