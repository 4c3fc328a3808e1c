// SPDX-License-Identifier: Apache-2.0
// What a scheduler tells agents, in the contract's form. Built as plain objects: this is hot.

import { create } from "@bufbuild/protobuf";
import { type Duration, durationFromMs } from "@bufbuild/protobuf/wkt";
import { failureOf, type ReportVerdictName } from "@remex/domain";
import {
  InventoryVerdict,
  type Offer,
  ReportVerdict,
  type ServerEvent,
} from "@remex/proto/agent/v1";
import { OnCut } from "@remex/proto/common/v1";
import { ErrorDetailSchema } from "@remex/proto/common/v1";
import type {
  ClaimedTask,
  EventJudgement,
  InventoryJudgement,
  ReportJudgement,
} from "@remex/store";
import { errorDetailOf } from "@remex/transport";
import { attemptOfText } from "./wire-refs.ts";

function eventOf(event: ServerEvent["event"]): ServerEvent {
  return { $typeName: "remex.agent.v1.ServerEvent", event };
}

const specFieldNumber = 4;
const lengthDelimited = 2;
const sevenBits = 0x7f;
const more = 0x80;

/** A field's bytes as they stand on the wire after the tag: length, then content. */
function delimited(content: Uint8Array): Uint8Array {
  const prefix: number[] = [];
  let rest = content.length;
  for (; rest > sevenBits; rest >>>= 7) prefix.push((rest & sevenBits) | more);
  prefix.push(rest);
  const bytes = new Uint8Array(prefix.length + content.length);
  bytes.set(prefix);
  bytes.set(content, prefix.length);
  return bytes;
}

/**
 * An offer. The spec is passed on as the bytes that were stored, as a field that this process does not
 * read: on the wire it is the spec, and nothing on the way decodes it and encodes it again.
 */
export function offerEvent(claimed: ClaimedTask, epoch: bigint, ttl: Duration): ServerEvent {
  const value: Offer = {
    $typeName: "remex.agent.v1.Offer",
    task: claimed.id,
    attempt: {
      $typeName: "remex.common.v1.AttemptId",
      epoch,
      number: BigInt(claimed.attemptNumber),
    },
    timeToLive: ttl,
    idempotencyKey: claimed.key,
    payloadDigest: claimed.digest,
    $unknown: [{ no: specFieldNumber, wireType: lengthDelimited, data: delimited(claimed.spec) }],
  };
  return eventOf({ case: "offer", value });
}

export function confirmEvent(task: string, attempt: string, aborts: boolean): ServerEvent {
  const onCut = aborts ? OnCut.ABORT : OnCut.UNSPECIFIED;
  const value = { task, attempt: attemptOfText(attempt), onCut };
  return eventOf({ case: "confirm", value: { $typeName: "remex.agent.v1.Confirm", ...value } });
}

export function withdrawEvent(task: string, attempt: string, reason: string): ServerEvent {
  const value = { task, attempt: attemptOfText(attempt), reason };
  return eventOf({ case: "withdraw", value: { $typeName: "remex.agent.v1.Withdraw", ...value } });
}

export function cancelEvent(task: string, attempt: string): ServerEvent {
  const value = { task, attempt: attemptOfText(attempt) };
  return eventOf({ case: "cancel", value: { $typeName: "remex.agent.v1.Cancel", ...value } });
}

/** `epoch` is stated when the agent may not know of it yet. */
export function inventoryRequestEvent(reason: string, epoch = ""): ServerEvent {
  const value = {
    $typeName: "remex.agent.v1.InventoryRequest",
    reason,
    epoch: BigInt(epoch || "0"),
  } as const;
  return eventOf({ case: "inventoryRequest", value });
}

/** What became of the events of an attempt that were sent so far. */
export function eventAnswerEvent(
  task: string,
  attempt: string,
  judged: EventJudgement,
): ServerEvent {
  const refusal =
    judged.refusal === "stale" ? failureOf("trigger_event_stale", { task, attempt }) : undefined;
  return eventOf({
    case: "triggerEventAnswer",
    value: {
      $typeName: "remex.agent.v1.TriggerEventAnswer",
      task,
      attempt: attemptOfText(attempt),
      durableNumber: BigInt(judged.durable),
      ...(refusal === undefined
        ? {}
        : { refusal: create(ErrorDetailSchema, errorDetailOf(refusal)) }),
    },
  });
}

const verdictNumbers: Readonly<Record<ReportVerdictName, ReportVerdict>> = {
  ACCEPTED: ReportVerdict.ACCEPTED,
  DUPLICATE: ReportVerdict.DUPLICATE,
  STALE: ReportVerdict.STALE,
  UNKNOWN_TASK: ReportVerdict.UNKNOWN_TASK,
  CONFLICT: ReportVerdict.CONFLICT,
  RETRY: ReportVerdict.RETRY,
};

/** How long an agent waits before it sends a report again that could not be taken. */
const reportRetryMs = 1_000;

export function reportAnswerEvent(
  task: string,
  attempt: string,
  judgement: ReportJudgement,
): ServerEvent {
  const { verdict, supersededBy, reason } = judgement;
  return eventOf({
    case: "reportAnswer",
    value: {
      $typeName: "remex.agent.v1.ReportAnswer",
      task,
      attempt: attemptOfText(attempt),
      verdict: verdictNumbers[verdict],
      reason,
      ...(supersededBy === "" ? {} : { supersededBy: attemptOfText(supersededBy) }),
      ...(verdict === "RETRY" ? { retryAfter: durationFromMs(reportRetryMs) } : {}),
    },
  });
}

const inventoryVerdicts = {
  KEEP: InventoryVerdict.KEEP,
  KILL: InventoryVerdict.KILL,
  REPORT: InventoryVerdict.REPORT,
} as const;

export function inventoryAnswerEvent(
  sequence: number,
  entries: readonly { readonly id: string; readonly attempt: string }[],
  verdicts: InventoryJudgement["verdicts"],
): ServerEvent {
  return eventOf({
    case: "inventoryAnswer",
    value: {
      $typeName: "remex.agent.v1.InventoryAnswer",
      sequence: BigInt(sequence),
      verdicts: entries.map(({ id, attempt }, index) => ({
        $typeName: "remex.agent.v1.AttemptVerdict",
        task: id,
        attempt: attemptOfText(attempt),
        verdict: inventoryVerdicts[verdicts[index] ?? "KEEP"],
      })),
    },
  });
}
