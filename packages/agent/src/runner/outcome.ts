// SPDX-License-Identifier: Apache-2.0
// Says how an attempt ended: from its leader's exit and from why it was stopped, if it was.

import type { OutcomeJson } from "@remex/proto/common/v1";
import { durationText, timestampText } from "../contract/json-time.ts";

/** How the leader of an attempt ended. */
export interface Exit {
  readonly code: number | undefined;
  readonly signal: string | undefined;
  /** True when the kernel ended a process of this group of processes for want of memory meanwhile. */
  readonly outOfMemory: boolean;
}

/** Why the runner stops an attempt. */
export type StopCause =
  | "CANCELED"
  | "KILLED"
  | "DRAINED"
  | "TIMEOUT"
  | "LEASE_ENDED"
  | "RUNNER_LOST";

/** When an attempt ran. */
export interface RunTimes {
  readonly runTimeMs: number;
  readonly startedAtWallMs: number;
  readonly endedAtWallMs: number;
}

const stopKinds = {
  CANCELED: ["OUTCOME_KIND_CANCELED", "OUTCOME_REASON_CANCELED", "stopped: a cancel was wished"],
  KILLED: [
    "OUTCOME_KIND_ABORTED",
    "OUTCOME_REASON_KILLED",
    "stopped: the attempt is not current any more",
  ],
  DRAINED: ["OUTCOME_KIND_ABORTED", "OUTCOME_REASON_DRAINED", "stopped: the agent is drained"],
  TIMEOUT: ["OUTCOME_KIND_FAILED", "OUTCOME_REASON_TIMEOUT", "stopped: the task's timeout passed"],
  LEASE_ENDED: [
    "OUTCOME_KIND_ABORTED",
    "OUTCOME_REASON_LEASE_ENDED",
    "stopped: the agent's lease ended and the task is to be aborted then",
  ],
  RUNNER_LOST: [
    "OUTCOME_KIND_ABORTED",
    "OUTCOME_REASON_RUNNER_LOST",
    "stopped: the runner lost its agent or was told to end",
  ],
} as const satisfies Record<
  StopCause,
  readonly [OutcomeJson["kind"], OutcomeJson["reason"], string]
>;

/** The outcome of an attempt that was stopped; `left` processes could not be ended. */
export function stoppedOutcome(
  cause: StopCause,
  exit: Exit | undefined,
  left: number,
  times: RunTimes,
): OutcomeJson {
  const [kind, reason, text] = stopKinds[cause];
  const message = left === 0 ? text : `${text}; ${left} of its processes could not be ended`;
  return {
    kind,
    reason,
    ...(exit?.code === undefined ? {} : { exitCode: exit.code }),
    ...(exit?.signal === undefined ? {} : { signal: exit.signal }),
    message,
    ...timesJson(times),
  };
}

/** The outcome of an attempt whose leader ended by itself. */
export function exitOutcome(exit: Exit, times: RunTimes): OutcomeJson {
  if (exit.signal !== undefined) return signalOutcome(exit, exit.signal, times);
  if (exit.code === 0) return { ...succeeded, exitCode: 0, ...timesJson(times) };
  return {
    kind: "OUTCOME_KIND_FAILED",
    reason: "OUTCOME_REASON_EXIT_CODE",
    ...(exit.code === undefined ? {} : { exitCode: exit.code }),
    message: `the program ended with exit code ${exit.code}${exitHint(exit.code)}`,
    ...timesJson(times),
  };
}

const succeeded = { kind: "OUTCOME_KIND_SUCCEEDED" } as const satisfies OutcomeJson;

/** The outcome of work that needs no process. */
export function noopOutcome(times: RunTimes): OutcomeJson {
  return { ...succeeded, ...timesJson(times) };
}

/** The outcome of work without a process that says itself when it has ended well. */
export function concludedOutcome(message: string, times: RunTimes): OutcomeJson {
  return { ...succeeded, message, ...timesJson(times) };
}

/** The outcome of an attempt whose program or folder could not be used. */
export function startFailedOutcome(message: string, times: RunTimes): OutcomeJson {
  return {
    kind: "OUTCOME_KIND_FAILED",
    reason: "OUTCOME_REASON_START_FAILED",
    message: message.slice(0, 1_000),
    ...timesJson(times),
  };
}

/** The outcome of an attempt that an older runner left without one. */
export function abandonedOutcome(wallMs: number): OutcomeJson {
  return {
    kind: "OUTCOME_KIND_ABORTED",
    reason: "OUTCOME_REASON_RUNNER_LOST",
    message: "the runner that ran it ended before the work did",
    endedAt: timestampText(wallMs),
  };
}

function signalOutcome(exit: Exit, signal: string, times: RunTimes): OutcomeJson {
  return {
    kind: "OUTCOME_KIND_FAILED",
    reason: exit.outOfMemory ? "OUTCOME_REASON_OUT_OF_MEMORY" : "OUTCOME_REASON_SIGNAL",
    signal,
    message: exit.outOfMemory
      ? "the kernel ended the program because the memory limit was reached; give the task more memory"
      : `the program was ended by ${signal}, which the agent did not send${signalHint(signal)}`,
    ...timesJson(times),
  };
}

function signalHint(signal: string): string {
  return signal === "SIGKILL" ? "; often the kernel does so when memory is short" : "";
}

/** Codes by which shells and launchers name what went wrong. */
function exitHint(code: number | undefined): string {
  if (code === 126) return " (often: a program in it could not be executed)";
  if (code === 127) return " (often: a program in it was not found)";
  if (code === 137) return " (often: a program in it was ended by SIGKILL, for want of memory)";
  return "";
}

function timesJson(times: RunTimes): OutcomeJson {
  return {
    runTime: durationText(times.runTimeMs),
    startedAt: timestampText(times.startedAtWallMs),
    endedAt: timestampText(times.endedAtWallMs),
  };
}
