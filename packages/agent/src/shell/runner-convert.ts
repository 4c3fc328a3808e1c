// SPDX-License-Identifier: Apache-2.0
// The edge to the runner: its JSON in the machine's words, and the machine's starts as its JSON.

import { create, fromJson, toJson } from "@bufbuild/protobuf";
import {
  durationFromMs,
  durationMs,
  type TimestampJson,
  timestampFromMs,
} from "@bufbuild/protobuf/wkt";
import { type NumberedRef, outcomeKinds, outcomeReasons } from "@remex/domain";
import {
  OnCut,
  type OnCutJson,
  type Outcome,
  type OutcomeJson,
  type OutcomeKind,
  type OutcomeReason,
  OutcomeSchema,
  type TaskSpec,
  type TaskSpecJson,
  TaskSpecSchema,
  TriggerWorkSchema,
} from "@remex/proto/common/v1";
import type {
  AgentEventJson,
  JournalEntryJson,
  RunnerEventJson,
  StartJson,
} from "@remex/proto/runner/v1";
import { attemptNameOf, refToJson, requireOutcome } from "../contract/frame-check.ts";
import { durationText, parseDurationText } from "../contract/json-time.ts";
import type { AgentEffect, JournalledAttempt, RunnerSays } from "../session/agent-state.ts";
import { factsOf } from "./server-convert.ts";

/** What a runner's event says; undefined for a case of a newer contract. */
export function runnerSaysOf(event: RunnerEventJson): RunnerSays | undefined {
  if (event.started !== undefined) {
    const { pid, startedAt } = event.started;
    return {
      kind: "attemptStarted",
      ...attemptNameOf(event.started),
      pid: pid ?? undefined,
      startedAtWallMs: wallMsOf(startedAt) ?? 0,
    };
  }
  if (event.emitted !== undefined) {
    const { number = "0", payload = "" } = event.emitted;
    return {
      kind: "attemptEmitted",
      ...attemptNameOf(event.emitted),
      number: Number(number),
      payload: Buffer.from(payload, "base64"),
    };
  }
  if (event.ended !== undefined) {
    const outcome = outcomeOf(requireOutcome(event.ended));
    return { kind: "attemptEnded", ...attemptNameOf(event.ended), outcome };
  }
  if (event.refused !== undefined) {
    const { reason = "", message = "" } = event.refused;
    return { kind: "attemptRefused", ...attemptNameOf(event.refused), reason, message };
  }
  if (event.ready !== undefined) return { kind: "runnerReady", ready: event.ready.ready ?? false };
  if (event.hello !== undefined) {
    return {
      kind: "runnerHello",
      runtimes: event.hello.runtimes ?? [],
      journal: (event.hello.journal ?? []).map(journalledOf),
    };
  }
  return undefined;
}

function journalledOf(entry: JournalEntryJson): JournalledAttempt {
  // Read once at a runner's start, so the slow and strict way is the right one here.
  const spec = fromJson(TaskSpecSchema, entry.spec ?? {}, { ignoreUnknownFields: true });
  const digest = Buffer.from(entry.payloadDigest ?? "", "base64");
  return {
    ...attemptNameOf(entry),
    facts: factsOf(spec, entry.idempotencyKey ?? "", digest),
    outcome: entry.outcome === undefined ? undefined : outcomeOf(entry.outcome),
  };
}

/** An outcome of the runner's JSON: by hand, since there is one per task. */
export function outcomeOf(json: OutcomeJson): Outcome {
  const startedAt = wallMsOf(json.startedAt);
  const endedAt = wallMsOf(json.endedAt);
  const runTimeMs = parseDurationText(json.runTime);
  const exitCode = json.exitCode ?? undefined;
  return create(OutcomeSchema, {
    kind: enumNumber(json.kind, outcomeKinds, "OUTCOME_KIND_") as OutcomeKind,
    reason: enumNumber(json.reason, outcomeReasons, "OUTCOME_REASON_") as OutcomeReason,
    ...(exitCode === undefined ? {} : { exitCode }),
    signal: json.signal ?? "",
    message: clip(json.message ?? "", 1_024),
    result: json.result === undefined ? new Uint8Array() : Buffer.from(json.result, "base64"),
    ...(runTimeMs === undefined
      ? {}
      : { runTime: durationFromMs(Math.max(0, Math.round(runTimeMs))) }),
    ...(startedAt === undefined ? {} : { startedAt: timestampFromMs(startedAt) }),
    ...(endedAt === undefined ? {} : { endedAt: timestampFromMs(endedAt) }),
  });
}

/** The number of an enum's name; JSON may hold the number itself. Unknown names are 0. */
function enumNumber(
  value: string | number | undefined,
  names: readonly string[],
  prefix: string,
): number {
  if (typeof value === "number") return value;
  if (value === undefined) return 0;
  return Math.max(0, names.indexOf(value.slice(prefix.length)));
}

/** Cuts a text to so many bytes of UTF-8, at a character's end. */
function clip(text: string, mostBytes: number): string {
  if (text.length * 3 <= mostBytes || Buffer.byteLength(text) <= mostBytes) return text;
  return Buffer.from(text, "utf8")
    .subarray(0, mostBytes - 3)
    .toString("utf8")
    .replace(/\uFFFD$/, "");
}

function wallMsOf(text: TimestampJson | undefined): number | undefined {
  const ms = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}

const onCutNames: Record<OnCut, OnCutJson> = {
  [OnCut.UNSPECIFIED]: "ON_CUT_CONTINUE",
  [OnCut.CONTINUE]: "ON_CUT_CONTINUE",
  [OnCut.ABORT]: "ON_CUT_ABORT",
};

export type RunnerInstruction = Extract<
  AgentEffect,
  { kind: "startWork" | "stopWork" | "forgetWork" | "eventsDurable" | "renewRunner" }
>;

/** What the runner is told; `airflowApi` gives the address of an attempt that needs one. */
export function instructionJson(
  effect: RunnerInstruction,
  nowMs: number,
  airflowApi: (task: string, attempt: NumberedRef) => string,
): AgentEventJson {
  switch (effect.kind) {
    case "startWork": {
      const { task, attempt, spec } = effect;
      const url = spec.work.case === "airflow" ? airflowApi(task, attempt) : undefined;
      return { start: startJson(effect, nowMs, url) };
    }
    case "stopWork": {
      const { task, attempt, reason } = effect;
      return { stop: { task, attempt: refToJson(attempt), reason } };
    }
    case "forgetWork":
      return { forget: { task: effect.task, attempt: refToJson(effect.attempt) } };
    case "eventsDurable": {
      const { task, attempt, durable } = effect;
      return {
        eventsDurable: { task, attempt: refToJson(attempt), durableNumber: String(durable) },
      };
    }
    case "renewRunner": {
      const remaining = durationText(effect.untilMs - nowMs);
      const stopTime = durationText(effect.stopMs);
      return { lease: { session: refToJson(effect.session), remaining, stopTime } };
    }
    default:
      return effect satisfies never;
  }
}

/** A start for the runner; what remains of the window is counted at `nowMs`, when it is sent. */
function startJson(
  effect: Extract<AgentEffect, { kind: "startWork" }>,
  nowMs: number,
  airflowApiUrl: string | undefined,
): StartJson {
  return {
    task: effect.task,
    attempt: refToJson(effect.attempt),
    session: refToJson(effect.session),
    window: durationText(effect.windowUntilMs - nowMs),
    spec: specJson(effect.spec),
    onCut: onCutNames[effect.onCut],
    ...(airflowApiUrl === undefined ? {} : { airflowApiUrl }),
    idempotencyKey: effect.facts.idempotencyKey,
    payloadDigest: Buffer.from(effect.facts.payloadDigest).toString("base64"),
  };
}

/**
 * A spec as proto3 JSON, by hand: there is one per task. What has its default is left out, since both
 * ends and the journal would only carry it around. A test compares it with the library's.
 */
export function specJson(spec: TaskSpec): TaskSpecJson {
  const json: TaskSpecJson = {};
  if (spec.queue !== "") json.queue = spec.queue;
  if (hasEntries(spec.requiredLabels)) json.requiredLabels = spec.requiredLabels;
  if (spec.priority !== 0) json.priority = spec.priority;
  if (spec.slotCost !== 0) json.slotCost = spec.slotCost;
  const onLost = onLostNames[spec.onLost];
  if (onLost !== undefined) json.onLost = onLost;
  if (spec.onCut !== OnCut.UNSPECIFIED) json.onCut = onCutNames[spec.onCut];
  if (spec.lostAfter !== undefined) json.lostAfter = durationText(durationMs(spec.lostAfter));
  if (spec.maxRetries !== 0) json.maxRetries = spec.maxRetries;
  if (spec.maxRecoveries !== undefined) json.maxRecoveries = spec.maxRecoveries;
  if (spec.timeout !== undefined) json.timeout = durationText(durationMs(spec.timeout));
  if (hasEntries(spec.annotations)) json.annotations = spec.annotations;
  addWork(json, spec.work);
  return json;
}

function hasEntries(map: object): boolean {
  for (const _ in map) return true;
  return false;
}

const onLostNames = [undefined, "ON_LOST_REQUEUE", "ON_LOST_FAIL"] as const;

function addWork(json: TaskSpecJson, work: TaskSpec["work"]): void {
  switch (work.case) {
    case "noop":
      json.noop = {};
      return;
    case "command": {
      const { argv, env, cwd } = work.value;
      json.command = { argv, ...(hasEntries(env) ? { env } : {}), ...(cwd === "" ? {} : { cwd }) };
      return;
    }
    case "airflow": {
      const { workloadJson, workloadToken } = work.value;
      json.airflow = { workloadJson, workloadToken };
      return;
    }
    case "trigger":
      // Rare, and small: the library's way is the right one here.
      json.trigger = toJson(TriggerWorkSchema, work.value);
      return;
    case "bundle":
    case undefined:
      // Not served: the agent declines an offer of it, since no runner says that it has the runtime.
      return;
    default:
      work satisfies never;
  }
}
