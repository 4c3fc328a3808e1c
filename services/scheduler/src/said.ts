// SPDX-License-Identifier: Apache-2.0
// What agents say about work, from the contract's form to what the store is told. What has no attempt is dropped.

import { create, toBinary } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { controlPlaneReasons, outcomeKindOf, outcomeReasonOf, reasonWord } from "@remex/domain";
import { type AgentEvent, DeclineReason, type Report } from "@remex/proto/agent/v1";
import { type Outcome, OutcomeKind, OutcomeReason, OutcomeSchema } from "@remex/proto/common/v1";
import type { ReportItem } from "@remex/store";
import { readInventory, type StatedInventory } from "./inventory-wire.ts";
import { textOfRef } from "./wire-refs.ts";

/** One thing that an agent said. */
export type Said =
  | {
      readonly kind: "accept";
      readonly id: string;
      readonly attempt: string;
      readonly sequence: number;
    }
  | {
      readonly kind: "decline";
      readonly id: string;
      readonly attempt: string;
      readonly reason: string;
      readonly message: string;
    }
  | {
      readonly kind: "progress";
      readonly id: string;
      readonly attempt: string;
      readonly note: string;
    }
  | { readonly kind: "report"; readonly report: ReportItem }
  | {
      readonly kind: "event";
      readonly id: string;
      readonly attempt: string;
      readonly number: number;
      readonly known: number;
      readonly payload: Uint8Array;
    }
  | ({ readonly kind: "inventory" } & StatedInventory);

const longestNoteBytes = 1_024;
const longestDeclineText = 200;

/** Reads one event; undefined when it is malformed or not about work. */
export function readSaid({ event }: AgentEvent): Said | undefined {
  switch (event.case) {
    case "accept": {
      const attempt = textOfRef(event.value.attempt);
      if (attempt === undefined) return undefined;
      const sequence = Number(event.value.sequence);
      return { kind: "accept", id: event.value.task, attempt, sequence };
    }
    case "decline": {
      const attempt = textOfRef(event.value.attempt);
      if (attempt === undefined) return undefined;
      const reason = declineWord(event.value.reason);
      const message = event.value.message.slice(0, longestDeclineText);
      return { kind: "decline", id: event.value.task, attempt, reason, message };
    }
    case "progress": {
      const attempt = textOfRef(event.value.attempt);
      const { progress, task: id } = event.value;
      if (attempt === undefined || progress.case === undefined) return undefined;
      if (progress.case === "started") return { kind: "progress", id, attempt, note: "" };
      const note = progress.value.slice(0, longestNoteBytes);
      return note === "" ? undefined : { kind: "progress", id, attempt, note };
    }
    case "report": {
      const report = readReport(event.value);
      return report && { kind: "report", report };
    }
    case "triggerEvent": {
      const attempt = textOfRef(event.value.attempt);
      const { task: id, payload } = event.value;
      const number = Number(event.value.number);
      if (attempt === undefined || !Number.isSafeInteger(number) || number < 1) return undefined;
      const known = Math.min(Number(event.value.knownDurable), number - 1);
      return { kind: "event", id, attempt, number, known, payload };
    }
    case "inventory": {
      const stated = readInventory(event.value);
      return stated && { kind: "inventory", ...stated };
    }
    default:
      return undefined;
  }
}

function declineWord(reason: DeclineReason): string {
  return (DeclineReason[reason] ?? "unspecified").toLowerCase();
}

const longestMessage = 1_024;
const mostResultBytes = 65_536;

/** Why an outcome cannot be taken as it is; undefined when it can. */
function problemOf(outcome: Outcome | undefined): string | undefined {
  if (outcome === undefined) return "it has no outcome";
  if (outcomeKindOf(outcome.kind) === undefined) return `its kind ${outcome.kind} is not known`;
  const reason = outcomeReasonOf(outcome.reason);
  if (controlPlaneReasons.has(reason)) {
    return `its reason ${reasonWord(reason)} is for the control plane alone`;
  }
  const bytes = outcome.result.length;
  return bytes > mostResultBytes
    ? `its result has ${bytes} bytes, more than ${mostResultBytes}; pass large results by reference`
    : undefined;
}

/**
 * A report that cannot be taken still ends its attempt, as FAILED with what is wrong with it: left
 * without an answer, the agent would send it, and the task would hold its slots, for ever.
 */
function readReport(report: Report): ReportItem | undefined {
  const attempt = textOfRef(report.attempt);
  if (attempt === undefined) return undefined;
  const problem = problemOf(report.outcome);
  const outcome =
    problem === undefined && report.outcome !== undefined
      ? report.outcome
      : create(OutcomeSchema, {
          kind: OutcomeKind.FAILED,
          reason: OutcomeReason.RUNTIME_ERROR,
          message: `the agent's report cannot be taken: ${problem}`,
        });
  const kind = outcomeKindOf(outcome.kind);
  if (kind === undefined) return undefined;
  return {
    id: report.task,
    attempt,
    kind,
    reason: reasonWord(outcomeReasonOf(outcome.reason)),
    exitCode: outcome.exitCode,
    message: outcome.message.slice(0, longestMessage),
    digest: Buffer.from(report.digest).toString("base64url"),
    outcome: toBinary(OutcomeSchema, outcome),
    started: false,
    ranMs: outcome.runTime === undefined ? 0 : Math.max(0, Math.round(durationMs(outcome.runTime))),
    droppedCalls: report.droppedCalls,
  };
}
