// SPDX-License-Identifier: Apache-2.0
// What the runner knows: the state, events and effects of its machine.

import { formatRef, type NumberedRef } from "@remex/domain";
import type { RunnerEventJson, StartJson, StopReasonJson } from "@remex/proto/runner/v1";
import type { AttemptName } from "../contract/frame-check.ts";
import type { JournalRecord } from "./journal-record.ts";
import type { Exit, StopCause } from "./outcome.ts";

/**
 * The runner, and each attempt in it.
 *
 * Runner: `serving` (starts what it is told) -> `closing` (its agent is gone, or it was told to end:
 * everything is stopped, nothing starts) -> effect `exit` when nothing is left.
 *
 * Attempt: `running` (its leader lives) -> ended by its leader's exit; or `stopping` (TERM was sent) ->
 * `killing` (KILL is sent until nothing is left) -> ended.
 *
 * Invariants, each with a test:
 * - RUN-1 (I1): an attempt is launched at most once, also over restarts, by `known`.
 * - RUN-2 (S4): nothing is launched without a valid lease of its session, or past its window.
 * - RUN-3 (C1): an outcome is told only by `finish`, whose effect is to sync first.
 * - RUN-4: an attempt under ABORT is being stopped from the lease's end on.
 * - RUN-5: nothing is launched while closing.
 * - RUN-6 (I11): a trigger's event is told only while it runs, under a valid lease.
 *
 * `stepRunner` owns the state that it is given: it changes it in place, since a copy per event would cost
 * more than the event, and nobody else reads it between two steps.
 */
export interface RunnerState {
  phase: "serving" | "closing";
  lease: RunnerLease | undefined;
  readonly attempts: Map<string, RunningAttempt>;
  /** Attempts that must never be launched again: running, or ended and not yet forgotten. */
  readonly known: Set<string>;
}

export interface RunnerLease {
  readonly session: NumberedRef;
  readonly untilMs: number;
  readonly stopMs: number;
}

export interface RunningAttempt {
  readonly name: AttemptName;
  readonly aborts: boolean;
  readonly startedAtMs: number;
  readonly startedAtWallMs: number;
  readonly timeoutAtMs: number | undefined;
  run: Run;
}

export type Run =
  | { readonly kind: "running" }
  | {
      readonly kind: "stopping";
      readonly cause: StopCause;
      readonly killAtMs: number;
      readonly exit: Exit | undefined;
    }
  | {
      readonly kind: "killing";
      readonly cause: StopCause;
      /** When processes that resist are reported instead of waited for. */
      readonly giveUpAtMs: number;
      readonly exit: Exit | undefined;
    };

export type RunnerMachineEvent =
  | {
      readonly kind: "lease";
      readonly session: NumberedRef;
      readonly untilMs: number;
      readonly stopMs: number;
    }
  | {
      readonly kind: "start";
      readonly name: AttemptName;
      readonly session: NumberedRef;
      readonly windowUntilMs: number;
      readonly start: StartJson;
      readonly logPath: string;
    }
  | { readonly kind: "stop"; readonly name: AttemptName; readonly reason: StopReasonJson }
  | { readonly kind: "forget"; readonly name: AttemptName }
  | { readonly kind: "close" }
  | {
      readonly kind: "launched";
      readonly key: string;
      /** Undefined for work without a process. */
      readonly pid: number | undefined;
      readonly logPath: string | undefined;
    }
  /** A trigger emitted an event, or has ended well. */
  | {
      readonly kind: "emitted";
      readonly key: string;
      readonly number: number;
      readonly payload: Uint8Array;
    }
  | { readonly kind: "concluded"; readonly key: string; readonly message: string }
  | { readonly kind: "launchFailed"; readonly key: string; readonly message: string }
  | { readonly kind: "exited"; readonly key: string; readonly exit: Exit }
  | { readonly kind: "swept"; readonly key: string; readonly remaining: number }
  | { readonly kind: "tick" };

export type RunnerEffect =
  | { readonly kind: "note"; readonly record: JournalRecord }
  | {
      readonly kind: "launch";
      readonly key: string;
      readonly start: StartJson;
      readonly logPath: string;
      /** Between TERM and KILL, should this process die. */
      readonly stopMs: number;
    }
  | { readonly kind: "send"; readonly event: RunnerEventJson }
  /** Note the record, sync, and only then send the event. */
  | { readonly kind: "finish"; readonly record: JournalRecord; readonly event: RunnerEventJson }
  | {
      readonly kind: "signal";
      readonly keys: readonly string[];
      readonly signal: "SIGTERM" | "SIGKILL";
      /** With TERM, the time until KILL. */
      readonly graceMs: number;
    }
  /** The leader ended by itself: end what it left in its process group. */
  | { readonly kind: "clear"; readonly key: string }
  /** Count the processes that are left of each and answer with `swept`. */
  | { readonly kind: "sweep"; readonly keys: readonly string[] }
  | { readonly kind: "exit" };

export interface Instant {
  /** Monotonic, suspend counted. */
  readonly ms: number;
  /** For display only. */
  readonly wallMs: number;
}

export function createRunnerState(known: Iterable<string>): RunnerState {
  return { phase: "serving", lease: undefined, attempts: new Map(), known: new Set(known) };
}

/** Key of an attempt; the same text as the journal's. */
export function keyOf(name: AttemptName): string {
  return `${name.task}/${formatRef(name.attempt)}`;
}
