// SPDX-License-Identifier: Apache-2.0
// The functions that begin tasks and carry them through their attempts, declared once.

import type { OnLost, OutcomeKind, ReportVerdictName, TaskStateName } from "@remex/domain";
import { defaultMaxRecoveries } from "@remex/domain";
import { listOf, parseJson, plainText, type TaskCall, taskFunction } from "./task-call.ts";

/** One submission, validated as far as that needs no store. */
export interface SubmitItem {
  readonly id: string;
  readonly key: string;
  /** SHA-256 of the submission without its credentials, 32 bytes. */
  readonly digest: Uint8Array;
  /** The spec as it is offered, opaque to the store. */
  readonly spec: Uint8Array;
  readonly payloadBytes: number;
  /** True when the spec holds credentials, which a repeated submission replaces while it is queued. */
  readonly credentials: boolean;
  readonly lane: string;
  readonly queue: string;
  readonly priority: number;
  readonly slotCost: number;
  readonly onLost: OnLost;
  readonly maxRetries: number;
  readonly maxRecoveries: number;
  /** What a cut-off agent does with it; undefined: what group or deployment say. */
  readonly onCut: "CONTINUE" | "ABORT" | undefined;
  /** How long it is held when its agent FAILED (H1); undefined: what group or deployment say. */
  readonly lostAfterMs: number | undefined;
}

export type SubmitAnswer =
  | { readonly kind: "queued" }
  | { readonly kind: "existing"; readonly state: TaskStateName }
  | { readonly kind: "conflict" }
  | {
      readonly kind: "queue_unknown" | "slot_cost_too_large" | "payload_too_large" | "tasks_limit";
      readonly limit: number;
    };

export const submitTasks = taskFunction<
  TaskCall & { readonly items: readonly SubmitItem[] },
  { readonly kind: "submitted"; readonly answers: readonly SubmitAnswer[] }
>({
  name: "submit_tasks_v1",
  acknowledges: true,
  args: ({ items }) => [
    JSON.stringify(items.map(packSubmission)),
    Buffer.concat(items.flatMap(({ digest, spec }) => [digest, spec])),
  ],
  parse: (reply) => ({
    kind: "submitted",
    answers: parseJson<[string, (string | number)?][]>(reply).map(readSubmitAnswer),
  }),
});

function packSubmission(item: SubmitItem): unknown[] {
  const extra: (string | number)[] = [];
  if (item.slotCost !== 1) extra.push("slotCost", item.slotCost);
  if (item.priority !== 0) extra.push("priority", item.priority);
  if (item.onLost !== "REQUEUE") extra.push("onLost", item.onLost);
  if (item.maxRetries !== 0) extra.push("maxRetries", item.maxRetries);
  if (item.maxRecoveries !== defaultMaxRecoveries) extra.push("maxRecoveries", item.maxRecoveries);
  if (item.onCut !== undefined) extra.push("onCut", item.onCut);
  if (item.lostAfterMs !== undefined) extra.push("lostAfterMs", item.lostAfterMs);
  return [
    item.id,
    item.key,
    item.lane,
    item.queue,
    item.priority,
    item.slotCost,
    item.payloadBytes,
    item.spec.length,
    item.credentials ? 1 : 0,
    extra,
  ];
}

function readSubmitAnswer([kind, fact]: [string, (string | number)?]): SubmitAnswer {
  switch (kind) {
    case "queued":
    case "conflict":
      return { kind };
    case "existing":
      return { kind, state: fact as TaskStateName };
    case "queue_unknown":
    case "slot_cost_too_large":
    case "payload_too_large":
    case "tasks_limit":
      return { kind, limit: Number(fact ?? 0) };
    default:
      throw new Error(`submit_tasks answered ${kind}`);
  }
}

/** An agent that may get offers, as the scheduler sees it. */
export interface ClaimCandidate {
  readonly agent: string;
  readonly session: string;
  /** All its slots; the store knows how many are taken (S8). */
  readonly slots: number;
  /** Lanes that it can serve. */
  readonly lanes: readonly string[];
}

export interface ClaimedTask {
  readonly candidate: ClaimCandidate;
  readonly id: string;
  /** Number of the attempt within the epoch. */
  readonly attemptNumber: number;
  readonly key: string;
  readonly digest: Uint8Array;
  readonly spec: Uint8Array;
}

export interface Claimed {
  readonly kind: "claimed";
  readonly offers: readonly ClaimedTask[];
  /** Lanes in which nothing is left. */
  readonly empty: readonly string[];
  /** Candidates without a free slot now. */
  readonly full: readonly ClaimCandidate[];
  /** Candidates that may get no offers by the store, and why. */
  readonly unfit: readonly { readonly candidate: ClaimCandidate; readonly why: string }[];
}

export interface ClaimArgs extends TaskCall {
  readonly candidates: readonly ClaimCandidate[];
  readonly offerTtlMs: number;
  readonly most: number;
}

export const claimTasks = taskFunction<ClaimArgs, Claimed>({
  name: "claim_tasks_v1",
  args: ({ candidates, offerTtlMs, most }) => {
    const lanes = lanesOf(candidates);
    const numbers = new Map(lanes.map((lane, index) => [lane, index + 1]));
    const packed = candidates.map(({ agent, session, slots, lanes: own }) => [
      agent,
      session,
      slots,
      own.map((lane) => numbers.get(lane)),
    ]);
    return [offerTtlMs, most, JSON.stringify(lanes), JSON.stringify(packed)];
  },
  parse: (reply, { candidates }) => {
    const [head, bytes] = listOf(reply);
    const lanes = lanesOf(candidates);
    const { offers, empty, full, unfit } = parseJson<ClaimHead>(head);
    const named = (number: number): ClaimCandidate => {
      const candidate = candidates[number - 1];
      if (candidate === undefined) throw new Error("claim_tasks answered an unknown candidate");
      return candidate;
    };
    return {
      kind: "claimed",
      offers: readOffers(offers, bytes as Buffer, named),
      empty: empty.map((number) => lanes[number - 1] ?? ""),
      full: full.map(named),
      unfit: unfit.map(([number, why]) => ({ candidate: named(number), why })),
    };
  },
});

interface ClaimHead {
  readonly offers: readonly [number, string, number, number, number][];
  readonly empty: readonly number[];
  readonly full: readonly number[];
  readonly unfit: readonly [number, string][];
}

function lanesOf(candidates: readonly ClaimCandidate[]): string[] {
  return [...new Set(candidates.flatMap(({ lanes }) => lanes))];
}

const digestBytes = 32;

function readOffers(
  offers: ClaimHead["offers"],
  bytes: Buffer,
  named: (number: number) => ClaimCandidate,
): ClaimedTask[] {
  let at = 0;
  const take = (length: number): Buffer => {
    at += length;
    return bytes.subarray(at - length, at);
  };
  return offers.map(([candidate, id, attemptNumber, keyBytes, specBytes]) => ({
    candidate: named(candidate),
    id,
    attemptNumber,
    digest: take(digestBytes),
    key: take(keyBytes).toString(),
    spec: take(specBytes),
  }));
}

/** What one agent accepted in one session. */
export interface AcceptGroup {
  readonly agent: string;
  readonly session: string;
  readonly accepts: readonly {
    readonly id: string;
    readonly attempt: string;
    readonly sequence: number;
  }[];
}

export const confirmAttempts = taskFunction<
  TaskCall & { readonly groups: readonly AcceptGroup[] },
  {
    readonly kind: "judged";
    /**
     * Per accept, in order: "confirm", "confirm_abort" (it is under ABORT), "none" (confirmed before, not
     * now), or a withdrawal's reason.
     */
    readonly answers: readonly string[];
  }
>({
  name: "confirm_attempts_v1",
  acknowledges: true,
  args: ({ groups }) => [
    JSON.stringify(
      groups.map(({ agent, session, accepts }) => [
        agent,
        session,
        accepts.map(({ id, attempt, sequence }) => [id, attempt, sequence]),
      ]),
    ),
  ],
  parse: (reply) => ({ kind: "judged", answers: parseJson<string[]>(reply) }),
});

/** A word of an agent about one of its attempts. */
export interface AttemptNote {
  readonly agent: string;
  readonly id: string;
  readonly attempt: string;
}

export const noteProgress = taskFunction<
  TaskCall & { readonly notes: readonly (AttemptNote & { readonly note: string })[] },
  { readonly kind: "noted"; readonly taken: number }
>({
  name: "note_progress_v1",
  args: ({ notes }) => [
    JSON.stringify(notes.map(({ agent, id, attempt, note }) => [agent, id, attempt, note])),
  ],
  parse: (reply) => ({ kind: "noted", taken: Number(reply) }),
});

/** An attempt that its agent hands back. */
export interface DeclinedAttempt extends AttemptNote {
  readonly reason: string;
  /** One line of the agent's, shown by `explain`. */
  readonly message: string;
}

export const declineAttempts = taskFunction<
  TaskCall & { readonly declines: readonly DeclinedAttempt[] },
  { readonly kind: "declined"; readonly taken: number }
>({
  name: "decline_attempts_v1",
  args: ({ declines }) => [
    JSON.stringify(
      declines.map(({ agent, id, attempt, reason, message }) => [
        agent,
        id,
        attempt,
        plainText(reason),
        plainText(message),
      ]),
    ),
  ],
  parse: (reply) => ({ kind: "declined", taken: Number(reply) }),
});

/** How one attempt ended, as its agent reported it. */
export interface ReportItem {
  readonly id: string;
  readonly attempt: string;
  readonly kind: OutcomeKind;
  /** Reason as a stable word; empty when there is none. */
  readonly reason: string;
  readonly exitCode: number | undefined;
  readonly message: string;
  /** Digest of the outcome, as text. */
  readonly digest: string;
  /** The outcome itself, opaque to the store. */
  readonly outcome: Uint8Array;
  /** True when the word of the start came with the report. */
  readonly started: boolean;
  /** How long it ran, by its runner's clock. */
  readonly ranMs: number;
  /** Calls of Airflow's API that its agent kept for it during a cut and dropped (E1). */
  readonly droppedCalls: number;
}

export interface ReportGroup {
  readonly agent: string;
  readonly session: string;
  readonly reports: readonly ReportItem[];
}

export interface ReportJudgement {
  readonly verdict: ReportVerdictName;
  /** Attempt that is current instead, with STALE; empty when there is none. */
  readonly supersededBy: string;
  readonly reason: string;
}

export const settleReports = taskFunction<
  TaskCall & { readonly groups: readonly ReportGroup[] },
  { readonly kind: "settled"; readonly judgements: readonly ReportJudgement[] }
>({
  name: "settle_reports_v1",
  acknowledges: true,
  args: ({ groups }) => [
    JSON.stringify(
      groups.map(({ agent, session, reports }) => [agent, session, reports.map(packReport)]),
    ),
    Buffer.concat(groups.flatMap(({ reports }) => reports.map(({ outcome }) => outcome))),
  ],
  parse: (reply) => ({
    kind: "settled",
    judgements: parseJson<(ReportVerdictName | ["STALE", string, string])[]>(reply).map((answer) =>
      Array.isArray(answer)
        ? { verdict: answer[0], supersededBy: answer[1], reason: answer[2] }
        : { verdict: answer, supersededBy: "", reason: "" },
    ),
  }),
});

function packReport(report: ReportItem): unknown[] {
  return [
    report.id,
    report.attempt,
    report.kind,
    report.reason,
    report.exitCode ?? "",
    plainText(report.message),
    report.digest,
    report.outcome.length,
    report.started ? 1 : 0,
    report.ranMs,
    report.droppedCalls,
  ];
}
